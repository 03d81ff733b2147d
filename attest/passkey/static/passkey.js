/*
 * Runs WebAuthn tasks. One file, no dependencies, no inline code: the page needs script-src for this file's origin and
 * connect-src for the handlers'.
 *
 *   VestibulePasskey.run(task, {signal})          the credential as JSON text, for passkey.Response.Credential
 *   VestibulePasskey.ceremony(begin, finish, {headers, signal})
 *                                                 asks the begin handler for a task, runs it and has the finish handler
 *                                                 verify it: {ceremony, ticket}
 *   VestibulePasskey.available()                  whether this page can use passkeys at all
 *
 * Errors have a code: unsupported, cancelled (by the user, or in time), exists (this authenticator has one already),
 * insecure (not this site's page), refused (by the server), network, malformed.
 */
(function (global) {
  'use strict';

  class PasskeyError extends Error {
    constructor(code, message) {
      super(message);
      this.name = 'PasskeyError';
      this.code = code;
    }
  }

  const CODES = {
    NotAllowedError: ['cancelled', 'The passkey was not used.'],
    AbortError: ['cancelled', 'The passkey was not used.'],
    InvalidStateError: ['exists', 'This device has a passkey for this account already.'],
    SecurityError: ['insecure', 'Passkeys cannot be used on this page.'],
    NotSupportedError: ['unsupported', 'This device cannot make such a passkey.'],
  };

  function available() {
    return Boolean(global.isSecureContext && global.PublicKeyCredential && global.navigator && global.navigator.credentials);
  }

  function bytes(text) {
    const plain = global.atob(text.replace(/-/g, '+').replace(/_/g, '/'));
    const out = new Uint8Array(plain.length);
    for (let i = 0; i < plain.length; i++) out[i] = plain.charCodeAt(i);
    return out;
  }

  function text(buffer) {
    let plain = '';
    for (const b of new Uint8Array(buffer)) plain += String.fromCharCode(b);
    return global.btoa(plain).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  }

  const withBytes = (list) => (list || []).map((d) => Object.assign({}, d, { id: bytes(d.id) }));

  // For browsers without parseCreationOptionsFromJSON.
  function creation(o) {
    return Object.assign({}, o, {
      challenge: bytes(o.challenge),
      user: Object.assign({}, o.user, { id: bytes(o.user.id) }),
      excludeCredentials: withBytes(o.excludeCredentials),
    });
  }

  function request(o) {
    return Object.assign({}, o, { challenge: bytes(o.challenge), allowCredentials: withBytes(o.allowCredentials) });
  }

  // For browsers without toJSON.
  function plain(c) {
    if (typeof c.toJSON === 'function') return c.toJSON();
    const r = c.response;
    const response = { clientDataJSON: text(r.clientDataJSON) };
    if (r.attestationObject) {
      response.attestationObject = text(r.attestationObject);
      response.transports = r.getTransports ? r.getTransports() : [];
    } else {
      response.authenticatorData = text(r.authenticatorData);
      response.signature = text(r.signature);
      if (r.userHandle) response.userHandle = text(r.userHandle);
    }
    return {
      id: c.id, rawId: text(c.rawId), type: c.type, response,
      clientExtensionResults: c.getClientExtensionResults(), authenticatorAttachment: c.authenticatorAttachment || undefined,
    };
  }

  async function run(task, options) {
    const o = options || {};
    if (!available()) throw new PasskeyError('unsupported', 'This browser cannot use passkeys here.');
    if (!task || !task.publicKey || typeof task.publicKey.challenge !== 'string') {
      throw new PasskeyError('malformed', 'The task is malformed.');
    }
    const P = global.PublicKeyCredential;
    try {
      let c;
      if (task.ceremony === 'registration') {
        const publicKey = P.parseCreationOptionsFromJSON ? P.parseCreationOptionsFromJSON(task.publicKey) : creation(task.publicKey);
        c = await global.navigator.credentials.create({ publicKey, signal: o.signal });
      } else if (task.ceremony === 'login') {
        const publicKey = P.parseRequestOptionsFromJSON ? P.parseRequestOptionsFromJSON(task.publicKey) : request(task.publicKey);
        c = await global.navigator.credentials.get({ publicKey, signal: o.signal });
      } else {
        throw new PasskeyError('malformed', 'The task is malformed.');
      }
      if (!c) throw new PasskeyError('cancelled', 'The passkey was not used.');
      return JSON.stringify(plain(c));
    } catch (err) {
      if (err instanceof PasskeyError) throw err;
      const known = CODES[err && err.name] || ['malformed', 'The passkey could not be used.'];
      throw new PasskeyError(known[0], known[1]);
    }
  }

  async function post(url, body, o) {
    let response;
    try {
      response = await global.fetch(url, {
        method: 'POST', body, signal: o.signal, credentials: 'same-origin', cache: 'no-store',
        headers: Object.assign({ Accept: 'application/json' }, body ? { 'Content-Type': 'application/json' } : {}, o.headers),
      });
    } catch (err) {
      throw new PasskeyError(err && err.name === 'AbortError' ? 'cancelled' : 'network', 'The server could not be reached.');
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new PasskeyError('refused', String(answer.detail || 'The passkey was not accepted.'));
    return answer;
  }

  async function ceremony(begin, finish, options) {
    const o = options || {};
    const task = await post(begin, undefined, o);
    return post(finish, await run(task, o), o);
  }

  const api = { available, run, ceremony, PasskeyError };
  if (typeof module === 'object' && module && module.exports) module.exports = api;
  else global.VestibulePasskey = api;
})(typeof self !== 'undefined' ? self : globalThis);
