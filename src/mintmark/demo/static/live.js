// The page is whole without this; with it, the numbers move.
"use strict";

const held = document.getElementById("held");

function line(name, value) {
  const row = document.createElement("div");
  const term = document.createElement("dt");
  const text = document.createElement("dd");
  term.textContent = name;
  text.textContent = value;
  row.append(term, text);
  return row;
}

function count(number, word) {
  const item = document.createElement("span");
  const bold = document.createElement("b");
  bold.textContent = number;
  item.append(bold, ` ${word}`);
  return item;
}

function card(token) {
  const article = document.createElement("article");
  article.className = `token ${token.kind}`;
  const title = document.createElement("h3");
  const name = document.createElement("code");
  name.textContent = token.fingerprint;
  title.append(`${token.kind[0].toUpperCase()}${token.kind.slice(1)} token `, name);
  const life = document.createElement("p");
  life.className = "life";
  const meter = document.createElement("meter");
  meter.max = 100;
  meter.value = token.share;
  meter.setAttribute("aria-label", "Life left");
  const left = document.createElement("span");
  left.textContent = `${token.left} s left, ${token.age} s old`;
  life.append(meter, " ", left);
  const facts = document.createElement("dl");
  facts.append(line("Held by", token.holder), line("For", token.audience), line("Scope", token.scope));
  const counts = document.createElement("p");
  counts.className = "counts";
  counts.append(
    count(token.asked, "asked"),
    count(token.from_cache, "from cache"),
    count(token.fetched, "fetched"),
    count(token.renewed, "renewed"),
  );
  article.append(title, life, facts, counts);
  return article;
}

async function refresh() {
  const answer = await fetch("/tokens/live", { headers: { accept: "application/json" } });
  if (!answer.ok) return;
  const state = await answer.json();
  for (const text of document.querySelectorAll("[data-call]")) {
    text.textContent = state.calls[text.dataset.call];
  }
  if (state.tokens.length) held.replaceChildren(...state.tokens.map(card));
  document.getElementById("live").hidden = false;
}

setInterval(() => { refresh().catch(() => {}); }, 1000);
