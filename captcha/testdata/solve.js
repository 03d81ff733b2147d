// Runs the script outside a browser: reads {"script", "task", "mode", "workers"} from standard input and prints what
// solve() gives. In mode "workers" a Worker made of node:worker_threads loads the script as a browser's would.
'use strict';
const fs = require('node:fs');
const vm = require('node:vm');
const threads = require('node:worker_threads');

const input = JSON.parse(fs.readFileSync(0, 'utf8'));
const out = (v) => process.stdout.write(JSON.stringify(v));

// What the script finds in a worker.
const workerSource = `
const { parentPort, workerData } = require('node:worker_threads');
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = function () {};
globalThis.postMessage = (m) => parentPort.postMessage(m);
parentPort.on('message', (data) => globalThis.onmessage({ data }));
require('node:vm').runInThisContext(workerData);
`;

let started = 0;
let alive = 0;
class Worker {
  constructor(url) {
    if (url !== 'https://host.example/captcha.js') throw new Error('wrong address: ' + url);
    if (input.mode === 'refused') throw new Error('SecurityError');
    started++;
    alive++;
    if (input.mode === 'broken') {
      setTimeout(() => this.onerror({ preventDefault() {} }), 0);
      return;
    }
    this.thread = new threads.Worker(workerSource, { eval: true, workerData: fs.readFileSync(input.script, 'utf8') });
    this.thread.on('message', (data) => this.onmessage({ data }));
  }
  postMessage(m) {
    if (this.thread) this.thread.postMessage(m);
  }
  terminate() {
    alive--;
    if (this.thread) this.thread.terminate();
  }
}

const page = {
  crypto: globalThis.crypto, btoa, setTimeout, clearTimeout, Date, Promise, Uint8Array, DataView, Worker,
  navigator: { hardwareConcurrency: 4 }, isSecureContext: input.mode !== 'insecure', module: { exports: {} },
};
if (input.mode === 'insecure') page.crypto = {};
page.self = page;
vm.createContext(page);
vm.runInContext(fs.readFileSync(input.script, 'utf8'), page);

const controller = new AbortController();
const options = { workers: input.workers, signal: controller.signal, workerURL: 'https://host.example/captcha.js' };
let reports = 0;
options.onProgress = () => {
  reports++;
  if (input.mode === 'cancel') controller.abort();
};
if (input.received) options.received = Date.now() - input.received;
page.module.exports.solve(input.task, options).then(
  (r) => out({ token: r.token, counter: r.counter, expiresIn: r.expiresIn, started, alive, reports }),
  (err) => out({ code: err.code, message: err.message, started, alive, reports }),
).then(() => process.exit(0));
