(() => {
  "use strict";
  const source = document.getElementById("timeline");
  if (!source || !window.uPlot) return;
  const line = JSON.parse(source.textContent);
  const root = document.documentElement;
  const color = name => getComputedStyle(root).getPropertyValue(name).trim();
  const narrow = () => window.innerWidth <= 640;
  const short = v => {
    const a = Math.abs(v);
    if (a === 0) return "0";
    const digits = a >= 100 ? 0 : a >= 10 ? 1 : a >= 1 ? 2 : 3;
    const text = v.toFixed(digits);
    const trimmed = text.includes(".") ? text.replace(/\.?0+$/, "") : text;
    return a >= 1000 ? Number(trimmed).toLocaleString("en-US") : trimmed;
  };
  const write = {
    count: short,
    rate: v => short(v) + "/s",
    share: v => short(v * 100) + "%",
    duration: v => { const a = Math.abs(v); return a === 0 ? "0" : a < 1e-3 ? short(v * 1e6) + "us" : a < 1 ? short(v * 1e3) + "ms" : short(v) + "s"; },
    bytes: v => { for (const [u, n] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 1024]]) if (Math.abs(v) >= n) return short(v / n) + u; return short(v) + "B"; },
  };
  const fade = (hex, alpha) => {
    const n = parseInt(hex.slice(1), 16);
    return `rgba(${n >> 16 & 255},${n >> 8 & 255},${n & 255},${alpha})`;
  };
  const bands = u => {
    const { ctx, bbox: { top, height, left, width } } = u;
    const px = devicePixelRatio || 1;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    for (const band of line.bands) {
      const from = u.valToPos(band.from, "x", true), to = u.valToPos(band.to, "x", true);
      const fault = band.kind === "fault", wide = Math.max(to - from, 2 * px);
      ctx.fillStyle = fade(color(fault ? "--fault" : "--recovery"), fault ? .28 : .2);
      ctx.fillRect(from, top, wide, height);
      if (fault) {
        ctx.fillStyle = fade(color("--fault"), .8);
        ctx.fillRect(from, top, px, height);
        ctx.fillRect(from + wide - px, top, px, height);
      }
    }
    ctx.strokeStyle = color("--mark");
    ctx.lineWidth = px;
    ctx.setLineDash([2 * px, 3 * px]);
    for (const mark of line.marks) {
      const at = u.valToPos(mark.at, "x", true);
      ctx.beginPath();
      ctx.moveTo(at, top);
      ctx.lineTo(at, top + height);
      ctx.stroke();
    }
    ctx.restore();
  };
  // What each fault is and whom it hits, at its beginning; under each other where they would overlap.
  const labels = u => {
    const { ctx, bbox: { top, left, width } } = u;
    const px = devicePixelRatio || 1, taken = [-1, -1, -1];
    ctx.save();
    ctx.font = `600 ${11 * px}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "top";
    ctx.lineWidth = 3 * px;
    ctx.lineJoin = "round";
    for (const band of line.bands) {
      const { min, max } = u.scales.x;
      if (band.kind !== "fault" || band.to < min || band.from > max) continue;
      const wide = ctx.measureText(band.label).width;
      const at = Math.max(left, Math.min(u.valToPos(band.from, "x", true) + 4 * px, left + width - wide));
      const row = taken.findIndex(end => end < at);
      if (row < 0) continue;
      taken[row] = at + wide + 8 * px;
      ctx.strokeStyle = color("--paper");
      ctx.fillStyle = color("--fault");
      ctx.strokeText(band.label, at, top + (2 + 13 * row) * px);
      ctx.fillText(band.label, at, top + (2 + 13 * row) * px);
    }
    ctx.restore();
  };
  const drawn = [];
  // Every chart shows the same stretch of the run: what was dragged over in one of them, or all of it.
  let shown = null;
  const show = stretch => {
    shown = stretch;
    const [min, max] = shown || [line.start, line.end];
    drawn.forEach(u => u.setScale("x", { min, max }));
  };
  const picked = u => {
    const { left, width } = u.select;
    if (width > 4) show([u.posToVal(left, "x"), u.posToVal(left + width, "x")]);
    if (width > 0) drawn.forEach(other => other.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false));
  };
  const draw = () => {
    drawn.splice(0).forEach(u => u.destroy());
    for (const panel of line.panels) {
      const host = document.getElementById("live-" + panel.id);
      const left = narrow() ? 54 : 70, right = narrow() ? 8 : 14;
      const axis = { stroke: color("--soft"), grid: { stroke: color("--rule"), width: 1 }, ticks: { stroke: color("--rule"), width: 1, size: 4 }, font: "11px system-ui, sans-serif", gap: 4 };
      const unit = write[panel.unit];
      const options = {
        width: host.clientWidth, height: 150, padding: [8, right, 0, 0],
        cursor: { sync: { key: "run" }, y: false, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => () => show(null) }, points: { size: 6 } },
        legend: { live: true },
        scales: {
          x: { time: false, range: () => shown || [line.start, line.end] },
          y: { distr: panel.log ? 3 : 1, range: panel.range },
        },
        axes: [
          { ...axis, size: 26, values: (u, at) => at.map(v => short(v) + "s") },
          { ...axis, size: left, splits: () => panel.ticks, filter: (u, at) => at, values: (u, at) => at.map(unit) },
        ],
        series: [
          { label: "at", value: (u, v) => v === null ? "–" : v.toFixed(1) + "s" },
          ...panel.series.map(s => ({
            label: s.label, stroke: color("--c" + s.color), width: 1.8, dash: s.dash, spanGaps: false,
            points: { show: false }, value: (u, v) => v === null ? "–" : unit(v),
          })),
        ],
        hooks: { drawClear: [bands], draw: panel === line.panels[0] ? [labels] : [], setSelect: [picked] },
      };
      drawn.push(new uPlot(options, [panel.x, ...panel.series.map(s => s.values)], host));
    }
  };
  root.classList.add("js");
  draw();
  let width = window.innerWidth, waiting;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(draw, 120);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
