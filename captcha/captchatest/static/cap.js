
  const keyOf = (endpoint) => String(endpoint).replace(/\/$/, '').split('/').pop();
  window.Cap = class Cap extends EventTarget {
    constructor(o) {
      super();
      this.o = o || {};
      this.token = null;
    }
    async solve() {
      const token = await mint({ sitekey: keyOf(this.o.apiEndpoint) });
      this.token = token;
      this.dispatchEvent(new CustomEvent('solve', { detail: { token } }));
      return { success: true, token };
    }
    reset() { this.token = null; }
  };
  if (!customElements.get('cap-widget')) {
    customElements.define('cap-widget', class extends HTMLElement {
      connectedCallback() {
        box(this, 'cap');
        this.addEventListener('click', () => this.solve());
      }
      async solve() {
        try {
          const token = await mint({ sitekey: keyOf(this.getAttribute('data-cap-api-endpoint')) });
          this.token = token;
          field(this, this.getAttribute('data-cap-hidden-field-name') || 'cap-token', token);
          this.dispatchEvent(new CustomEvent('solve', { bubbles: true, composed: true, detail: { token } }));
          return { success: true, token };
        } catch (err) {
          this.dispatchEvent(new CustomEvent('error', { bubbles: true, composed: true, detail: { isCap: true, message: String(err) } }));
          return { success: false };
        }
      }
      reset() { this.token = null; }
    });
  }
