"use strict";
// Replaces the parts of the page that change. Without it the page shows the same after a reload.
(() => {
  const status = document.getElementById("live-status");
  if (!window.EventSource || !status || !("live" in document.body.dataset)) return;
  const waiting = new Map();
  let pressed = false;

  const show = (id, html) => {
    const part = document.getElementById(id);
    if (!part) return;
    // A button that is replaced while it is pressed would lose the press.
    if (pressed) { waiting.set(id, html); return; }
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...part.querySelectorAll("details[open]")].map((details) => details.id);
    part.innerHTML = html;
    for (const details of part.querySelectorAll("details")) details.open = open.includes(details.id);
    const again = focused && document.getElementById(focused);
    if (again) again.focus({ preventScroll: true });
  };
  const release = () => setTimeout(() => {
    pressed = false;
    for (const [id, html] of waiting) show(id, html);
    waiting.clear();
  }, 0);
  addEventListener("pointerdown", () => { pressed = true; });
  addEventListener("pointerup", release);
  addEventListener("pointercancel", release);

  const source = new EventSource("/page/events");
  source.addEventListener("open", () => { status.textContent = "Live: this page changes by itself."; });
  source.addEventListener("part", (event) => {
    const { id, html } = JSON.parse(event.data);
    show(id, html);
  });
  source.addEventListener("said", (event) => { status.textContent = event.data; });
  source.addEventListener("error", () => {
    status.textContent = source.readyState === EventSource.CLOSED
      ? "Not live: the service does not answer, or you are signed out. Reload the page."
      : "Not live: the connection is lost, and is tried again.";
  });
})();
