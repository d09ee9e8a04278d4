"use strict";
/* A picture handed in by drop, paste or file. It goes to /v1/pictures at once; the value is its id.
   A tab's main picture is for the field "image"; what it says of itself is told, and what is pasted goes there. */
darkroom.pictureInput = ({element, props, watch, trigger}) => {
  const {el, url} = darkroom, task = props.task, main = props.field === "image";
  const input = el("input", {type: "file", accept: "image/png,image/jpeg,image/webp", class: "dr-file", tabindex: "-1"});
  const face = el("img", {alt: main ? "the picture to start from" : props.label, hidden: true});
  const hint = el("span", {class: "dr-hint"});
  const size = el("span", {class: "dr-size"});
  const clear = el("button", {type: "button", class: "dr-x", hidden: true, "aria-label": "Remove the picture", onclick: (event) => { event.stopPropagation(); show(""); }}, "✕");
  const zone = el("div", {class: "dr-picture", tabindex: "0", role: "button", "aria-label": props.label || "Picture"}, face, hint, size, clear, input);
  const words = `${props.optional ? "Optional: drop" : "Drop"}, paste or click to choose a picture`;
  let opening = null;
  let shown = "";  // never null: Gradio hands null back as "", which would go round and round

  function show(id) {
    shown = id || "";
    if ((props.value || "") !== shown) props.value = shown;
    face.hidden = clear.hidden = !shown;
    hint.textContent = shown ? "" : words;
    size.textContent = "";
    zone.classList.toggle("full", Boolean(shown));
    if (shown) face.src = url(`/v1/pictures/${shown}`); else face.removeAttribute("src");
  }
  const open = (file) => (opening = read(file));
  async function read(file) {
    zone.classList.add("busy");
    hint.textContent = "Reading …";
    try {
      const found = await darkroom.hand_in(file);
      show(found.id);
      if (main) {
        darkroom.told[task] = found.infotext || "";
        trigger("told");
      }
    }
    catch (error) { show(shown); darkroom.say(error.message); }
    zone.classList.remove("busy");
  }
  face.addEventListener("load", () => { size.textContent = `${face.naturalWidth} × ${face.naturalHeight}`; });
  face.addEventListener("error", () => { if (shown) show(""); });
  zone.addEventListener("click", () => input.click());
  input.addEventListener("click", (event) => event.stopPropagation());
  zone.addEventListener("keydown", (event) => {
    if (event.target !== zone) return;
    if ((event.key === "Enter" && !event.ctrlKey && !event.metaKey) || event.key === " ") { event.preventDefault(); input.click(); }
    if (event.key === "Delete" || event.key === "Backspace") show("");
  });
  input.addEventListener("change", () => { if (input.files[0]) open(input.files[0]); input.value = ""; });
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const file = await darkroom.dropped(event.dataTransfer);
    if (file) open(file); else darkroom.say("That is not a picture.", "note");
  });
  watch("value", () => { if ((props.value || "") !== shown) show(props.value); });
  element.firstElementChild.append(el("div", {class: "dr-label"}, props.label || "Picture"), zone);
  const holder = {open, flush: async () => { await opening; return shown; }};
  if (main) darkroom.pictures[task] = holder;
  else (darkroom.others[task] ||= {})[props.field] = holder;
  show(props.value);
};

/* The file in a drop, or the picture of ours that was dragged from another part of the page. */
darkroom.dropped = async (transfer) => {
  const [file] = darkroom.files(transfer);
  if (file) return file;
  const address = transfer.getData("text/uri-list") || "";
  if (!address.startsWith(new URL(".", document.baseURI).href)) return null;
  try {
    const blob = await (await fetch(address)).blob();
    return blob.type.startsWith("image/") ? new File([blob], "picture.png", {type: blob.type}) : null;
  } catch { return null; }
};
