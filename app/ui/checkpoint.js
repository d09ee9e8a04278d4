"use strict";
/* What a checkpoint brings along: fills the fields of a tab when one is chosen, tells which, and takes it back on request.
   Fields that one checkpoint set and nobody touched go back before the next one sets its own: no few-step settings are left behind. */
darkroom.checkpoints = (() => {
  const {ask, store, values} = darkroom, SIZES = ["width", "height"];
  const faces = {}, before = {}, offers = {};
  const same = (one, other) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
  const settings = (name) => ask("GET", `/v1/models/defaults?checkpoint=${encodeURIComponent(name || "")}`);
  const record = (task) => { const kept = store.get("brought." + task, {}); return {set: kept?.set || {}, was: kept?.was || {}}; };
  const zipped = (names, list) => Object.fromEntries(names.map((name, index) => [name, list[index]]));

  /* A size that was chosen by hand is kept, unless a person saved one with the checkpoint. */
  function wanted(found, now, names) {
    const byHand = now.width !== now.height || (now.width != null && !found.natives.includes(now.width));
    return Object.fromEntries(Object.entries(found.defaults).filter(([name]) => names.includes(name) && !(byHand && SIZES.includes(name) && !(name in found.saved))));
  }

  /* New values for the fields of a tab; what changes is told in its note. */
  function fill(task, names, current, found) {
    const now = zipped(names, current), last = record(task), base = {...now}, mine = wanted(found, now, names);
    for (const name of names) if (name in last.set && name in last.was && same(now[name], last.set[name])) base[name] = last.was[name];
    const next = {...base, ...mine, checkpoint: found.name};
    if (!SIZES.some((name) => name in mine)) for (const name of SIZES) if (name in now) next[name] = now[name];
    const changed = names.filter((name) => name !== "checkpoint" && !same(next[name], now[name]));
    before[task] = {values: now, record: last, names: changed};
    delete offers[task];
    darkroom.fresh[task] = false;
    store.set("brought." + task, {set: mine, was: Object.fromEntries(Object.keys(mine).map((name) => [name, base[name]]))});
    faces[task]?.tell(found.name, Object.fromEntries(changed.map((name) => [name, next[name]])));
    return names.map((name) => next[name]);
  }

  /* A name that is on no list stays as it is, so that Generate can say so. A picker tells of one choice twice, with the same values:
     the second time the answer is the first one's, or what was just set would be taken for set by hand. */
  const asked = {};
  function chosen(task, names, current) {
    const key = JSON.stringify(current), last = asked[task];
    if (last?.key === key && Date.now() - last.at < 3000) return last.answer;
    const answer = choose(task, names, current);
    asked[task] = {key, answer, at: Infinity};
    answer.then(() => { if (asked[task].answer === answer) asked[task].at = Date.now(); });
    return answer;
  }
  async function choose(task, names, current) {
    const name = current[names.indexOf("checkpoint")];
    if (!name) return current;
    try { return fill(task, names, current, await settings(name)); } catch { faces[task]?.hush(); return current; }
  }

  /* From the tab Models: a checkpoint, or another file, for all tabs at once. `layout`: [[task, [field, ...]], ...] */
  async function everywhere(layout, current) {
    const {field, name} = darkroom.picked.models, places = layout.flatMap(([, names]) => names);
    if (field !== "checkpoint") return current.map((value, index) => (places[index] === field ? name : value));
    const found = await settings(name);
    let start = 0;
    return layout.flatMap(([task, names]) => fill(task, names, current.slice(start, start += names.length), found));
  }

  /* A page that remembers nothing begins with what the first checkpoint brings along. */
  async function first(task, names, current, plain) {
    const kept = () => names.map((name, index) => values[task]?.[name] ?? current[index]);  // `current` may be older than what was restored
    if (!darkroom.fresh[task]) return kept();
    const now = zipped(names, current);
    let found;
    try { found = await settings(now.checkpoint); }
    catch { try { found = await settings(""); } catch { return current; } }
    if (!darkroom.fresh[task]) return kept();  // something was chosen meanwhile
    const natives = SIZES.some((name) => name in plain) ? found.natives : [...found.natives, now.width];  // a size that was moved in stays
    const mine = wanted({...found, natives}, now, names), live = values[task] || now;
    store.set("brought." + task, {set: mine, was: {...mine, ...Object.fromEntries(Object.entries(plain).filter(([name]) => name in mine))}});
    return names.map((name, index) => {
      if (!same(live[name] ?? null, now[name] ?? null)) return live[name];  // typed meanwhile
      return name === "checkpoint" ? found.name : name in mine ? mine[name] : current[index];
    });
  }

  /* What a LoRA suits, few steps for example, is offered in the tab that it was put into. */
  function offer(task, name, settings) {
    if (!faces[task] || !Object.keys(settings).length) return;
    offers[task] = {name, settings};
    faces[task].offer(name, settings);
  }

  /* The button of the note: sets what is offered, or takes back what was set. */
  function refill(task, names, current) {
    const offered = offers[task], now = zipped(names, current);
    if (!offered) return undo(task, names, current);
    delete offers[task];
    const changed = Object.fromEntries(Object.entries(offered.settings).filter(([name, value]) => names.includes(name) && !same(now[name], value)));
    before[task] = {values: now, record: record(task), names: Object.keys(changed)};
    faces[task].tell(offered.name, changed);
    return names.map((name) => (name in changed ? changed[name] : now[name]));
  }

  function undo(task, names, current) {
    const kept = before[task];
    faces[task]?.hush();
    if (!kept) return current;
    store.set("brought." + task, kept.record);
    return names.map((name, index) => (kept.names.includes(name) ? kept.values[name] : current[index]));
  }

  /* The current settings become what the checkpoint brings along. Fields that this tab does not have stay as they were saved. */
  async function save(task, names) {
    const now = values[task], {name, saved} = await settings(now.checkpoint);
    const mine = Object.fromEntries(names.filter((field) => field !== "checkpoint").map((field) => [field, now[field] === "" && field === "negative_prompt" ? null : now[field]]));
    await darkroom.models.put("checkpoint", name, {defaults: {...saved, ...mine}});
    const kept = Object.fromEntries(Object.entries(mine).filter(([, value]) => value != null));
    const last = record(task), {plain} = faces[task], was = Object.fromEntries(Object.keys(kept).map((field) => [field, last.was[field] ?? plain[field] ?? kept[field]]));
    darkroom.fresh[task] = false;
    store.set("brought." + task, {set: kept, was});
    return name;
  }
  return {faces, offers, chosen, everywhere, first, offer, refill, save};
})();

/* One line under the checkpoint: what it set, and the way to make the current settings its own. */
darkroom.checkpointNote = ({element, props, trigger}) => {
  const {el, checkpoints} = darkroom, {task, fields, labels} = props;
  const text = el("span", {class: "dr-note-text"});
  const act = el("button", {type: "button", class: "dr-link dr-undo", onclick: () => trigger("refill")}, "Undo");
  const close = el("button", {type: "button", class: "dr-link", "aria-label": "Hide this note", onclick: () => { delete checkpoints.offers[task]; hush(); }}, "✕");
  const note = el("div", {class: "dr-note", role: "status", "aria-live": "polite", hidden: true}, text, act, close);
  const save = el("button", {type: "button", class: "dr-link dr-save-defaults", title: "They come back whenever this checkpoint is chosen", onclick: async () => {
    save.disabled = true;
    try { const name = await checkpoints.save(task, fields); show(`Saved: ${name} brings these settings along from now on.`, ""); } catch (error) { darkroom.say(error.message); }
    save.disabled = false;
  }}, "Save the current settings as this checkpoint's defaults");
  element.firstElementChild.append(note, save);
  function show(sentence, action) { text.textContent = sentence; act.textContent = action; act.hidden = !action; note.hidden = false; }
  function hush() { note.hidden = true; }
  const shown = (value) => (value == null || value === "" ? "empty" : String(value).length > 40 ? `“${String(value).slice(0, 38)} …”` : String(value));
  const list = (fields) => Object.entries(fields).map(([field, value]) => `${labels[field] || field} ${shown(value)}`).join(" · ");
  checkpoints.faces[task] = {
    hush,
    plain: props.plain,
    tell(name, changed) { if (Object.keys(changed).length) show(`${name} set ${list(changed)}`, "Undo"); else hush(); },
    offer(name, settings) { show(`${name} goes with ${list(settings)}`, "Set them"); },
  };
};
