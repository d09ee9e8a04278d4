"use strict";
/* "What the model reads": tokens, chunks, weights and steps of both prompts. Text goes into the page as text, never as HTML. */
window.darkroom.promptReading = ({element, props, server}) => {
  const {el, counters, values} = window.darkroom;
  const FIELDS = ["checkpoint", "prompt", "negative_prompt", "styles", "wildcards", "seed", "subseed", "subseed_strength", "sampler", "steps",
    "cfg_scale", "clip_skip", "emphasis", "comma_backtrack", "enable_hr", "hr_second_pass_steps", "hr_sampler", "hr_prompt", "hr_negative_prompt", "hr_cfg"];
  const SECTIONS = {prompt: "Prompt", negative_prompt: "Negative prompt", hr_prompt: "Prompt, second pass", hr_negative_prompt: "Negative prompt, second pass"};
  const body = el("div", {class: "dr-reading-body", "aria-live": "polite"});
  const box = el("details", {class: "dr-reading"}, el("summary", {}, "What the model reads"), body);
  element.firstElementChild.append(box);
  let asked = null, timer = 0;

  const times = (weight) => "×" + Number(weight.toPrecision(4));
  const ranges = (steps, calls) => {
    const shown = steps.slice(0, 6).map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(", ") + (steps.length > 6 ? ", …" : "");
    return (calls ? "calls " : steps.length === 1 && steps[0][0] === steps[0][1] ? "step " : "steps ") + shown;
  };
  function tokenOf(token) {
    const weighted = token.weight !== 1;
    const strength = Math.min(1, Math.abs(Math.log(Math.max(.05, Math.abs(token.weight)))));
    const classes = ["dr-token", token.ends ? "" : "open", token.vectors ? "word" : "", weighted ? (token.weight > 1 ? "up" : "down") : ""].filter(Boolean).join(" ");
    const title = [token.vectors ? `Textual inversion, ${token.vectors} ${token.vectors === 1 ? "vector" : "vectors"}` : "Token", `weight ${Number(token.weight.toPrecision(6))}`].join(", ");
    return el("span", {class: classes, title, style: weighted ? `--strength: ${Math.round(20 + 60 * strength)}%` : null},
      token.text || "␣", token.vectors > 1 ? el("small", {}, ` ${token.vectors}`) : null, weighted ? el("small", {}, " " + times(token.weight)) : null);
  }
  const used = (chunk) => chunk.reduce((sum, token) => sum + Math.max(1, token.vectors), 0);
  function chunkOf(chunk, index, all) {
    const line = el("div", {class: "dr-chunk"});
    if (all.length > 1) line.append(el("span", {class: "dr-reading-note"}, `chunk ${index + 1} · ${used(chunk)} of 75`));
    line.append(...(chunk.length ? chunk.map(tokenOf) : [el("span", {class: "dr-reading-note"}, "nothing: the empty prompt")]));
    return line;
  }
  function textOf(text, reading) {
    const always = text.steps.length === 1 && text.steps[0][0] === 1 && text.steps[0][1] === reading.steps;
    return el("div", {class: "dr-reading-text"}, always ? null : el("div", {class: "dr-reading-steps"}, ranges(text.steps, reading.calls)), ...text.chunks.map(chunkOf));
  }
  function partOf(part, index, all, reading) {
    const head = all.length > 1 || part.weight !== 1 ? el("div", {class: "dr-reading-note"}, `part ${index + 1} of ${all.length}, joined by AND · weight ${Number(part.weight.toPrecision(4))}`) : null;
    const more = part.more ? el("div", {class: "dr-reading-note"}, `and ${part.more} more texts at other steps`) : null;
    return el("div", {class: "dr-reading-part"}, head, ...part.texts.map((text) => textOf(text, reading)), more);
  }
  function networkOf(network) {
    const strength = network.te === network.unet ? times(network.te) : `text ${times(network.te)}, picture ${times(network.unet)}`;
    const weights = [strength, network.blocks && `blocks ${network.blocks}`, network.steps && `steps ${network.steps}`].filter(Boolean).join(" · ");
    return el("span", {class: "dr-token word" + (network.problem ? " missing" : ""), title: network.problem || "LoRA"}, `LoRA ${network.name} `, el("small", {}, network.problem ? "not usable" : weights));
  }
  function promptOf(title, reading) {
    const notes = [`${reading.tokens[0]} of ${reading.tokens[1]} tokens`];
    if (reading.unread) notes.push("not read at CFG scale 1");
    else if (reading.calls) notes.push(`this sampler asks the network twice a step: ${reading.steps} calls`);
    const found = [...reading.networks.map(networkOf), ...reading.embeddings.map((name) => el("span", {class: "dr-token word", title: "Textual inversion"}, `Embedding ${name}`))];
    const problems = reading.networks.filter((network) => network.problem).map((network) => el("div", {class: "dr-reading-problem"}, network.problem));
    return el("section", {}, el("h4", {}, title, el("span", {class: "dr-reading-note"}, notes.join(" · "))),
      found.length ? el("div", {class: "dr-chunk"}, ...found) : null, ...problems, ...reading.parts.map((part, index, all) => partOf(part, index, all, reading)));
  }
  function show(answer) {
    if (answer.error) { body.replaceChildren(el("div", {class: "dr-reading-problem"}, answer.error)); return; }
    const drawn = answer.drawn ? `, wildcards drawn by ${answer.drawn}` : "";
    body.replaceChildren(el("div", {class: "dr-reading-note"}, `with the words of ${answer.checkpoint}${drawn}`),
      ...Object.keys(SECTIONS).filter((name) => answer[name]).map((name) => promptOf(SECTIONS[name], answer[name])));
  }
  async function read(question) {
    asked = question;
    try {
      const answer = await server.read(JSON.parse(question));
      if (asked === question) show(answer);
    } catch { if (asked === question) { asked = null; body.replaceChildren(el("div", {class: "dr-reading-problem"}, "Darkroom does not answer.")); } }
  }
  function update(current) {
    clearTimeout(timer);
    if (!box.open) return;
    const question = JSON.stringify(Object.fromEntries(FIELDS.filter((name) => name in current).map((name) => [name, current[name]])));
    if (question !== asked) timer = setTimeout(() => read(question), asked ? 600 : 0);
  }
  (counters[props.task] ||= []).push(update);
  box.addEventListener("toggle", () => update(values[props.task] || {}));
};
