"use strict";
// The voting page: shows what /vote/next hands out, and gives the answers back.  All that it knows is on the screen.

const WORDS = { A: "A", B: "B", tie: "both alike", neither: "neither" };
const KEYS = { a: "A", b: "B", t: "tie", n: "neither" };
const at = (id) => document.getElementById(id);
let questions = {}, token = null, busy = false;

async function ask(path, sent) {
  const options = sent === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(sent),
  };
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch {
    return { status: 0, error: "The studio does not answer. Try again in a moment." };
  }
  let got = {};
  try { got = await response.json(); } catch { got = { error: "The studio answered in an unknown way. Reload the page." }; }
  return { ...got, status: response.status };
}

function tell(words) {
  at("told").textContent = words || "";
  at("told").hidden = !words;
}

function shown(image, path) {
  return new Promise((resolve, reject) => {
    image.onload = () => resolve();
    image.onerror = () => reject(new Error("gone"));
    image.src = path;
  });
}

async function show(ballot) {
  at("ballot").hidden = !ballot.token;
  at("done").hidden = Boolean(ballot.token);
  at("left").textContent = `${ballot.left} ${ballot.left === 1 ? "pair" : "pairs"} left`;
  token = ballot.token || null;
  if (!token) return;
  at("answers").reset();
  mark(Object.keys(questions)[0]);
  at("whose").textContent = ballot.director;
  at("words").textContent = ballot.prompt;
  const stills = ballot.stills.map((_, place) => {
    const image = document.createElement("img");
    image.alt = `Still ${place + 1} by ${ballot.director}`;
    return image;
  });
  at("row").replaceChildren(...stills);
  const pictures = [shown(at("a"), `picture/${ballot.a}`), shown(at("b"), `picture/${ballot.b}`)];
  pictures.push(...stills.map((image, place) => shown(image, `still/${ballot.stills[place]}`)));
  try {
    await Promise.all(pictures);
  } catch {
    token = null;
    tell("A picture could not be loaded, or is no longer on show. Reload the page for the next pair.");
  }
}

function wait(yes) {
  busy = yes;
  at("vote").disabled = yes;
}

async function next() {
  wait(true);  // until both pictures are there: nobody votes on what is not seen
  try {
    const wanted = {};
    for (const name of ["director", "recipe"]) if (at(name).value) wanted[name] = at(name).value;
    const ballot = await ask("next", wanted);
    if (ballot.error) { token = null; tell(ballot.error); return; }
    await show(ballot);
  } finally {
    wait(false);
  }
}

async function cast() {
  const answers = Object.fromEntries(new FormData(at("answers")));
  if (busy || !token) return;
  if (Object.keys(questions).some((name) => !(name in answers))) { tell("Answer both questions first."); return; }
  wait(true);
  const answer = await ask("cast", { token, ...answers });
  wait(false);
  tell(answer.error);
  if (answer.status === 0 || answer.status >= 500) return;  // nothing was told as cast: the answers stay for another try
  await next();
}

function mark(name) {
  for (const field of document.querySelectorAll("fieldset")) field.classList.toggle("marked", field.name === name);
}

function marked() {
  const field = document.querySelector("fieldset.marked");
  return field ? field.name : Object.keys(questions)[0];
}

function pressed(event) {
  if (busy || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const names = Object.keys(questions), key = event.key.toLowerCase();
  if (key === "enter") {
    event.preventDefault();
    if (!event.repeat) cast();
  } else if (names[Number(key) - 1]) {
    mark(names[Number(key) - 1]);
  } else if (key in KEYS) {
    const name = marked();
    document.querySelector(`fieldset[name=${name}] input[value=${KEYS[key]}]`).checked = true;
    const answered = new FormData(at("answers"));
    mark(names.find((one) => !answered.has(one)) || name);
  }
}

function layOut(answers) {
  const fields = Object.entries(questions).map(([name, words]) => {
    const field = document.createElement("fieldset"), title = document.createElement("legend");
    field.name = name;
    title.textContent = words;
    field.append(title, ...answers.map((value) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name, value });
      label.append(input, WORDS[value]);
      return label;
    }));
    field.addEventListener("focusin", () => mark(name));
    return field;
  });
  const button = document.createElement("button");
  Object.assign(button, { id: "vote", type: "submit", textContent: "Vote" });
  at("answers").replaceChildren(...fields, button);
}

function offer(name, choices) {
  const some = Object.entries(choices);
  at(name).append(...some.map(([value, words]) => new Option(words, value)));
  at(`of-${name}`).hidden = some.length < 2;
  at(name).addEventListener("change", () => { tell(""); at(name).blur(); next(); });
}

async function begin() {
  const choices = await ask("choices");
  if (choices.error) { tell(choices.error); return; }
  questions = choices.questions;
  layOut(choices.answers);
  offer("director", choices.directors);
  offer("recipe", Object.fromEntries(choices.recipes.map((slug) => [slug, slug])));
  at("answers").addEventListener("submit", (event) => { event.preventDefault(); cast(); });
  document.addEventListener("keydown", pressed);
  window.focus();
  await next();
}

begin();
