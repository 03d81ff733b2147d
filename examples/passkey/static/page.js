(function () {
  'use strict';
  const status = document.getElementById('status');
  const buttons = ['registration', 'login'].map((id) => document.getElementById(id));

  function show(state, text) {
    status.dataset.state = state;
    status.textContent = text;
  }

  for (const button of buttons) {
    button.addEventListener('click', async () => {
      buttons.forEach((b) => { b.disabled = true; });
      show('working', 'Use your passkey…');
      try {
        await window.VestibulePasskey.ceremony('/' + button.id + '/begin', '/' + button.id + '/finish');
        show('done', button.id === 'login' ? 'You are signed in.' : 'Your passkey is made.');
      } catch (err) {
        status.dataset.code = err.code || '';
        show('error', err.message);
      } finally {
        buttons.forEach((b) => { b.disabled = false; });
      }
    });
  }
  if (!window.VestibulePasskey.available()) {
    buttons.forEach((b) => { b.disabled = true; });
    show('error', 'This browser cannot use passkeys here.');
  }
})();
