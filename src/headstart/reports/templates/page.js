(() => {
  "use strict";
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")].map((box) => ({
    box,
    spec: JSON.parse(box.parentElement.querySelector('script[type="application/json"]').textContent),
  }));
  const touch = matchMedia("(pointer: coarse)").matches;
  const chosen = new Map();

  // Colours are written as names of CSS variables, so that one figure serves light, dark and print.
  const paint = (value, style) => {
    if (typeof value === "string") {
      return value.startsWith("var(") ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
    }
    if (Array.isArray(value)) return value.map((part) => paint(part, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, paint(part, style)]));
  };

  const faded = (data, group) => {
    const classes = chosen.get(group);
    return classes && classes.size ? data.map((trace, i) => ({ ...trace, opacity: classes.has(i) ? 1 : 0.07 })) : data;
  };

  const draw = ({ box, spec }) => {
    const style = getComputedStyle(root);
    const layout = paint(spec.layout, style);
    if (touch) layout.dragmode = false;
    return Plotly.react(box, faded(paint(spec.data, style), box.dataset.group), layout, {
      responsive: true,
      displaylogo: false,
      showSendToCloud: false,
      plotlyServerURL: "",
      displayModeBar: spec.mode_bar && !touch,
      modeBarButtons: [["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
      doubleClick: spec.mode_bar ? "reset" : false,
      scrollZoom: false,
    });
  };
  const drawAll = () => plots.forEach(draw);

  for (const article of document.querySelectorAll("[data-tsne]")) {
    const group = article.dataset.tsne;
    chosen.set(group, new Set());
    for (const button of article.querySelectorAll("button[data-trace]")) {
      button.addEventListener("click", () => {
        const trace = Number(button.dataset.trace);
        const classes = chosen.get(group);
        if (!classes.delete(trace)) classes.add(trace);
        button.setAttribute("aria-pressed", String(classes.has(trace)));
        plots.filter(({ box }) => box.dataset.group === group).forEach(draw);
      });
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  const closed = [...document.querySelectorAll("details:not([open])")];
  const print = (printing) => {
    if (printing) root.dataset.theme = "light"; else delete root.dataset.theme;
    for (const details of closed) details.open = printing;
    drawAll();
  };
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  drawAll();
})();
