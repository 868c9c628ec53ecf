// The live list: one line of JSON for each login, from the API's own stream, put on top of the list that the page came with.
const most = 200; // rows that stay
const perSecond = 20; // rows put in; what comes faster is counted only

export function follow(box) {
  const rows = document.querySelector("[data-rows]");
  if (!rows) return;
  const button = box.querySelector("button");
  const status = box.querySelector("[role=status]");
  const template = box.querySelector("template");
  const words = new Map([...box.querySelectorAll("data")].map((d) => [d.value, d]));
  const japanese = document.documentElement.lang === "ja";
  let newest = Math.max(0, ...[...rows.children].map((row) => Number(row.dataset.seq) || 0));
  let stop = null;
  let shown = 0;
  let second = 0;
  box.hidden = false;

  function put(event) {
    if (event.seq <= newest || event.kind !== "login") return;
    newest = event.seq;
    const now = Math.floor(Date.now() / 1000);
    if (now !== second) { second = now; shown = 0; }
    if (shown++ >= perSecond) return;
    const row = template.content.firstElementChild.cloneNode(true);
    row.dataset.seq = event.seq;
    const time = row.querySelector("time");
    time.dateTime = event.at;
    const at = new Date(event.at);
    const two = (n) => String(n).padStart(2, "0");
    time.textContent = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
    const mark = row.querySelector(".mark");
    const word = words.get(event.verdict);
    mark.classList.add(word?.dataset.tone ?? "plain");
    mark.textContent = word?.textContent ?? event.verdict;
    const link = row.querySelector("a");
    link.textContent = event.user || "-";
    link.href = event.account ? `/users/${encodeURIComponent(event.account)}` : `/users?q=${encodeURIComponent(event.user ?? "")}`;
    row.children[3].textContent = event.client ?? "-";
    row.querySelector(".sentence").textContent = (japanese ? event.sentence_ja : event.sentence) ?? "";
    row.querySelector("code").textContent = event.reason ?? "";
    rows.prepend(row);
    while (rows.children.length > most) rows.lastElementChild.remove();
  }

  async function run(signal) {
    const answer = await fetch(box.dataset.follow, { signal, headers: { Accept: "application/x-ndjson" } });
    if (!answer.ok) throw new Error(answer.status);
    status.textContent = box.dataset.running;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line) put(JSON.parse(line));
    }
  }

  async function start() {
    const mine = stop = new AbortController();
    button.textContent = box.dataset.pause;
    for (let wait = 1000; !mine.signal.aborted; wait = Math.min(2 * wait, 30000)) {
      try {
        await run(mine.signal);
        wait = 1000;
      } catch {
        // told below
      }
      if (mine.signal.aborted) return;
      status.textContent = box.dataset.lost;
      await new Promise((again) => setTimeout(again, wait));
    }
  }

  button.addEventListener("click", () => {
    if (stop) {
      stop.abort();
      stop = null;
      button.textContent = box.dataset.resume;
      status.textContent = box.dataset.paused;
    } else {
      start();
    }
  });
  start();
}
