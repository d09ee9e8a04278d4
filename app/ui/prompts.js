"use strict";
/* Words and LoRA tags from elsewhere on the page go to the cursor of the prompt that was used last. */
darkroom.prompts = (() => {
  const FIELD = /^(txt2img|img2img|inpaint|outpaint|zoom)_(prompt|negative_prompt)$/;
  let place = null;

  function note(event) {
    const area = event.target;
    if (area?.tagName !== "TEXTAREA") return;
    const field = FIELD.exec(area.closest("[id$=prompt]")?.id || "");
    if (field) place = {task: field[1], field: field[2], start: area.selectionStart, end: area.selectionEnd};
  }
  for (const event of ["focusin", "focusout", "keyup", "pointerup", "input"]) addEventListener(event, note, true);

  /* Where a piece goes: the cursor of the prompt used last, or the end of the one of the tab used last. */
  function target(field) {
    const task = darkroom.lastTask();
    const here = place?.task === task && (!field || field === place.field) ? place : {task, field: field || "prompt", start: Infinity, end: Infinity};
    return {...here, text: darkroom.values[task]?.[here.field] || ""};
  }

  /* The text with a piece at [start, end): words are set off by commas, tags by blanks; line breaks stay. */
  function joined(text, piece, start, end) {
    const between = piece.startsWith("<") ? " " : ", ";
    const head = text.slice(0, start).replace(/[ \t]+$/, ""), tail = text.slice(end).replace(/^[ \t]+/, "");
    const front = !head || /[\n([{|:]$/.test(head) ? "" : /,$/.test(head) ? " " : between;
    const back = !tail || /^[\n)\]}|:,]/.test(tail) ? "" : between;
    return [head + front + piece, back + tail];
  }

  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const tagOf = (name) => new RegExp(`[ \\t]*<(?:lora|lyco):${escaped(name)}(?::[^>]*)?>`, "gi");
  /* What is there already goes out again: a second click takes back the first. */
  const holds = (text, piece, name) => (piece.startsWith("<") ? tagOf(name).test(text) : text.split(/[,\n]/).some((part) => part.trim().toLowerCase() === piece.toLowerCase()));
  function without(text, piece, name) {
    if (piece.startsWith("<")) return text.replace(tagOf(name), "").replace(/^[ \t]+/, "");
    const part = new RegExp(`(^|[,\\n])[ \\t]*${escaped(piece)}[ \\t]*(?=,|\\n|$)`, "i");
    return text.replace(part, (found, edge) => (edge === "\n" ? "\n" : "")).replace(/^[ \t]*,[ \t]*/, "");
  }

  /* New values for all prompts; `picked.piece`: {text, name, field}. `layout`: [[task, field], ...] */
  function inserted(layout, current) {
    const {text: piece, name, field} = darkroom.picked.piece, to = target(field);
    const index = layout.findIndex(([task, own]) => task === to.task && own === to.field);
    if (index < 0) return current;
    const text = current[index] || "", there = holds(text, piece, name);
    let next;
    if (there) next = without(text, piece, name);
    else {
      const [head, rest] = joined(text, piece, Math.min(to.start, text.length), Math.min(to.end, text.length));
      next = head + rest;
      place = {task: to.task, field: to.field, start: head.length, end: head.length};
    }
    darkroom.say(`${there ? "Taken out of" : "Put into"} the ${to.field === "prompt" ? "prompt" : "negative prompt"} of ${darkroom.TITLES[to.task]}: ${piece}`, "note");
    return current.map((value, at) => (at === index ? next : value));
  }
  return {inserted, target, joined, holds, without};
})();
