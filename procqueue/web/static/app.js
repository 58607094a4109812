// What a page does beyond HTML: sign in by the link, follow what happens, ask before removing.
"use strict";

const token = new URLSearchParams(location.hash.slice(1)).get("t");
if (token) {
  history.replaceState(null, "", location.pathname + location.search);
  const next = location.pathname + location.search;
  fetch("/session", { method: "POST", body: new URLSearchParams({ token, next }), redirect: "manual" })
    .then(() => location.replace(next));
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !confirm(question)) event.preventDefault();
});

const live = document.body.dataset.live;
if (live) {
  const lost = document.getElementById("lost");
  const events = new EventSource(live);
  events.onopen = () => { lost.hidden = true; };
  events.onerror = () => { lost.hidden = false; };
  events.onmessage = (event) => {
    for (const [name, html] of Object.entries(JSON.parse(event.data))) swap(document.getElementById(name), html);
  };
  addEventListener("pagehide", () => events.close());
}

function swap(part, html) {
  // Nobody's button goes away under his fingers, and what was unfolded stays so.
  if (!part || part.matches(":active") || part.contains(getSelection().anchorNode) && !getSelection().isCollapsed) return;
  const focused = part.contains(document.activeElement) ? path(document.activeElement) : null;
  const open = [...part.querySelectorAll("details[open]")].map((one) => one.id);
  part.innerHTML = html;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused !== null) part.querySelectorAll("a, button, input, summary")[focused]?.focus({ preventScroll: true });
}

function path(element) {
  return [...element.closest("[data-part]").querySelectorAll("a, button, input, summary")].indexOf(element);
}
