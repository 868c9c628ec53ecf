// Search as you type: after a pause the page's own form is asked for the piece that lists what was found.
const pause = 300; // milliseconds
const least = 2; // characters

export function search(input) {
  const found = document.getElementById(input.dataset.search);
  let timer = 0;
  let asked = null;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    asked?.abort();
    const text = input.value.trim();
    if ([...text].length < least) return;
    timer = setTimeout(() => ask(text), pause);
  });

  async function ask(text) {
    const mine = asked = new AbortController();
    found.setAttribute("aria-busy", "true");
    const address = new URL(input.form.action);
    address.searchParams.set(input.name, text);
    history.replaceState(null, "", address);
    address.searchParams.set("part", "found");
    try {
      const answer = await fetch(address, { signal: mine.signal });
      if (answer.redirected) location.assign(answer.url); // the session ended
      else if (answer.ok) found.innerHTML = await answer.text(); // our own page's piece, escaped by the server
    } catch {
      return; // a newer question, or no network: the button still works
    } finally {
      if (asked === mine) found.removeAttribute("aria-busy");
    }
  }
}
