// What pages gain with script: the live list of logins, search as you type, copying. Everything else works without it.
import { follow } from "./live.js";
import { search } from "./search.js";

document.querySelectorAll("[data-follow]").forEach(follow);
document.querySelectorAll("[data-search]").forEach(search);

// What can be copied gets a button for it.
const { copy, copied } = document.body.dataset;
for (const text of navigator.clipboard ? document.querySelectorAll("[data-copyable]") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small copy";
  button.textContent = copy;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = copied;
    setTimeout(() => { button.textContent = copy; }, 2000);
  });
  text.after(button);
}

// A link's secret stands behind the #: it goes into the field, and out of the address.
const secret = document.querySelector("[data-fragment]");
if (secret && location.hash.length > 1) {
  secret.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
