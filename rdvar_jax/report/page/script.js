// Toggles a layer of the gallery, in one picture or in all pictures of the section.
for (const button of document.querySelectorAll("button[data-layer]")) {
  button.addEventListener("click", () => {
    const layer = button.dataset.layer;
    const shown = button.getAttribute("aria-pressed") !== "true";
    const scope = button.closest("figure") ?? button.closest("section");
    for (const picture of scope.querySelectorAll(`img.${layer}`)) picture.hidden = !shown;
    for (const other of scope.querySelectorAll(`button[data-layer="${layer}"]`)) {
      other.setAttribute("aria-pressed", String(shown));
    }
  });
}
