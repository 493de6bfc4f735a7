"use strict";

// Starts Swagger UI, and takes the answer of a sign-in from the window that came back with it.
const settings = JSON.parse(document.getElementById("settings").textContent);

// Swagger UI makes its state from the time of day, and puts what is to be added to this address
// into that of the token endpoint as well, where nothing belongs into the address (RFC 6749 §3.2).
function authPopup(original) {
  return (url, waiting) => {
    const address = new URL(url);
    const state = crypto.getRandomValues(new Uint8Array(16));
    waiting.state = Array.from(state, (byte) => byte.toString(16).padStart(2, "0")).join("");
    address.searchParams.set("state", waiting.state);
    Object.entries(settings.authorize).forEach(([name, value]) => {
      address.searchParams.set(name, value);
    });
    return original(address.toString(), waiting);
  };
}

const ui = SwaggerUIBundle({
  ...settings.parameters,
  url: settings.url,
  oauth2RedirectUrl: window.location.origin + settings.redirect,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
  plugins: [{ statePlugins: { auth: { wrapActions: { authPopup } } } }],
});
ui.initOAuth(settings.oauth);

function take(waiting, answer) {
  if (answer.get("code")) {
    waiting.auth.code = answer.get("code");
    waiting.callback({ auth: waiting.auth, redirectUrl: waiting.redirectUrl });
    return;
  }
  const said = [answer.get("error") || "no code came", answer.get("error_description") || ""];
  waiting.errCb({
    authId: waiting.auth.name,
    source: "auth",
    level: "error",
    message: said.filter(Boolean).join(": "),
  });
}

const channel = new BroadcastChannel(settings.channel);
channel.addEventListener("message", (message) => {
  const answer = new URLSearchParams(message.data.answer || "");
  const waiting = window.swaggerUIRedirectOauth2;
  // Every open page of documentation hears this. It is for the one that asked, and for it once.
  if (!waiting || !waiting.state || answer.get("state") !== waiting.state) {
    return;
  }
  delete window.swaggerUIRedirectOauth2;
  channel.postMessage({ taken: waiting.state });
  take(waiting, answer);
});
