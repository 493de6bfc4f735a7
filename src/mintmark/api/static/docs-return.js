"use strict";

// The token server's pages cut every tie to the window that opened them, as they should: there is
// no `window.opener` any more. What is of the same origin still hears this channel.
const channel = new BroadcastChannel(document.body.dataset.channel);
const answer = window.location.search.slice(1);
const state = new URLSearchParams(answer).get("state");
channel.addEventListener("message", (message) => {
  if (message.data.taken === state) {
    document.getElementById("said").textContent = "You can close this window.";
    window.close();
  }
});
// The code leaves the address bar and the history before anything else happens.
window.history.replaceState(null, "", window.location.pathname);
channel.postMessage({ answer });
