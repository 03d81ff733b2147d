/* The step that shows a device by a passkey. */

import { $, card, say } from './page.js';

export function passkey(host) {
  const use = $('passkey-use');
  let task = null;
  let credential = ''; // what the last passkey said, for the task it was made for
  let id = ''; // its name, so that the server can put it to the account

  function start(t) {
    task = t;
    credential = '';
    card('passkey-step');
    say($('passkey-notice'), id && 'This passkey does not show what device it is kept on. Try a security key.');
    if (!window.VestibulePasskey.available()) {
      use.disabled = true;
      say($('passkey-notice'), 'This browser cannot use passkeys here.');
    }
  }

  function reset() {
    task = null;
    credential = id = '';
    use.disabled = false;
  }

  use.addEventListener('click', async () => {
    use.disabled = true;
    try {
      if (Date.parse(task.expires) <= Date.now()) task = await host.renewed('device');
      if (!task) return;
      credential = await window.VestibulePasskey.run(task);
      id = JSON.parse(credential).id;
      await host.submit();
    } catch (err) {
      say($('passkey-notice'), err.message);
    } finally {
      use.disabled = false;
    }
  });

  $('passkey-cannot').addEventListener('click', () => host.cannot('device'));

  return { start, reset, values: () => (id ? { passkey: credential, passkey_id: id } : {}) };
}
