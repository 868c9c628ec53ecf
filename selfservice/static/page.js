// What the pages do better with script. They do everything without it.
for (const button of document.querySelectorAll('[data-copy]')) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = button.dataset.done;
  });
}
for (const button of document.querySelectorAll('[data-show]')) {
  const fields = button.dataset.show.split(' ').map((id) => document.getElementById(id));
  const show = button.textContent;
  button.hidden = false;
  button.addEventListener('click', () => {
    const plain = fields[0].type === 'text';
    for (const field of fields) field.type = plain ? 'password' : 'text';
    button.textContent = plain ? show : button.dataset.hide;
  });
}
for (const hint of document.querySelectorAll('[data-since]')) {
  let begun = 0;
  document.getElementById(hint.dataset.since).addEventListener('change', () => { begun = Date.now(); });
  setInterval(() => {
    if (begun) hint.textContent = hint.dataset.text.replace('{}', Math.round((Date.now() - begun) / 1000));
  }, 1000);
}
for (const form of document.forms) {
  form.addEventListener('submit', () => {
    for (const button of form.querySelectorAll('button:not([type=button])')) button.disabled = true;
  });
}
addEventListener('pageshow', () => {
  for (const button of document.querySelectorAll('button:disabled')) button.disabled = false;
});
