// Recognises this browser for abuse protection, at level "active" only. See package fingerprint.
(() => {
  "use strict";
  const script = document.currentScript;
  const endpoint = script.dataset.endpoint || "/device";
  const name = "vestibule-device";

  const local = {
    get() { try { return localStorage.getItem(name) || ""; } catch { return ""; } },
    set(v) { try { v ? localStorage.setItem(name, v) : localStorage.removeItem(name); } catch { /* refused by the browser */ } },
  };

  // IndexedDB hangs in some private modes: nothing waits for it longer than a second.
  const indexed = (mode, run) => new Promise((resolve) => {
    setTimeout(() => resolve(""), 1000);
    try {
      const open = indexedDB.open(name, 1);
      open.onupgradeneeded = () => open.result.createObjectStore("id");
      open.onerror = () => resolve("");
      open.onsuccess = () => {
        try {
          const request = run(open.result.transaction("id", mode).objectStore("id"));
          request.onsuccess = () => { resolve(request.result || ""); open.result.close(); };
          request.onerror = () => { resolve(""); open.result.close(); };
        } catch { resolve(""); }
      };
    } catch { resolve(""); }
  });
  const idb = {
    get: () => indexed("readonly", (s) => s.get("v")),
    set: (v) => indexed("readwrite", (s) => (v ? s.put(v, "v") : s.delete("v"))),
  };

  const post = async (body) => {
    const response = await fetch(endpoint, {
      method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error("device endpoint: " + response.status);
    return response.json();
  };

  const keep = async (id) => { local.set(id); await idb.set(id); };

  const attempt = async (f) => { try { return await f(); } catch { return undefined; } };

  const collect = async (ids) => {
    const report = { webdriver: navigator.webdriver === true, ids };
    if (window.FingerprintJS) {
      report.fpjs = await attempt(async () => (await FingerprintJS.load({ monitoring: false })).get());
      if (report.fpjs) {
        const { visitorId, version, confidence, components } = report.fpjs;
        report.fpjs = { visitorId, version, confidence, components };
      }
    }
    if (window.ThumbmarkJS) {
      report.thumbmark = await attempt(async () => {
        const { thumbmark, version } = await new ThumbmarkJS.Thumbmark({ logging: false }).get();
        return { thumbmark, version };
      });
    }
    if (window.Botd) report.botd = await attempt(async () => (await Botd.load({ monitoring: false })).detect());
    return report;
  };

  const run = async (first) => {
    const ids = { local: local.get(), idb: await idb.get() };
    const answer = await post({ ...first, ...ids });
    if (answer.level !== "active") { await keep(""); for (const input of document.querySelectorAll('input[name="device"]')) input.value = ""; return null; }
    // What was there is reported: what is there now has just been restored.
    const report = await collect(ids);
    await keep(answer.id);
    const text = JSON.stringify(report);
    for (const input of document.querySelectorAll('input[name="device"]')) input.value = text;
    return text;
  };

  const api = { ready: Promise.resolve(null), consent: (granted) => (api.ready = run({ consent: granted === true })) };
  window.vestibuleDevice = api;

  // ask shows the page's question, and keeps the answer.
  const ask = (question) => {
    question.hidden = false;
    for (const button of question.querySelectorAll("button")) {
      button.addEventListener("click", () => { question.hidden = true; api.consent(button.value === "yes").catch(() => null); });
    }
  };

  const begin = async (level) => {
    if (level === "ask") {
      const answer = await post({});
      const question = document.querySelector("[data-device-consent]");
      if (answer.ask === "yes" && question) ask(question);
      level = answer.level;
    }
    if (level === "active") return run({});
    await keep("");
    return null;
  };

  const input = document.querySelector('input[name="device"]');
  api.ready = begin(script.dataset.level || (input && input.dataset.level)).catch(() => null);
})();
