// Opens a site in Firefox until its title is "done".
import puppeteer from "puppeteer-core";

const [executablePath, url] = process.argv.slice(2);
const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true, acceptInsecureCerts: true });
try {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForFunction('document.title === "done"', { timeout: 60000 });
} finally {
  await browser.close();
}
