// Package fingerprint judges package fingerprint by real programs: Chromium without and with a window (under Xvfb),
// Firefox driven by puppeteer, curl, tshark, and FingerprintJS as npm has it. What is missing on a machine is skipped, saying so, unless VESTIBULE_REQUIRE_CLIENTS=1
// is set, when it fails.
package fingerprint
