// Filters the images by verdict, and shows them under their heat or plain, one or all.
const shots = document.querySelector(".shots");
const press = (button, on) => button.setAttribute("aria-pressed", String(on));

for (const button of document.querySelectorAll("button[data-filter]")) {
  button.addEventListener("click", () => {
    shots.dataset.show = button.dataset.filter;
    for (const other of document.querySelectorAll("button[data-filter]")) {
      press(other, other === button);
    }
    document.querySelector(".none").hidden = button.dataset.count !== "0";
  });
}

for (const button of document.querySelectorAll("button[data-heat]")) {
  button.addEventListener("click", () => {
    const hot = button.getAttribute("aria-pressed") !== "true";
    const scope = button.dataset.heat === "all" ? document : button.closest("figure");
    for (const picture of scope.querySelectorAll("img.heat")) picture.hidden = !hot;
    for (const picture of scope.querySelectorAll("img.plain")) picture.hidden = hot;
    for (const other of scope.querySelectorAll("button[data-heat]")) press(other, hot);
  });
}
