// A page of the daemon in a real browser: logs in by a link, follows the changes by EventSource, and prints the id
// of each.

import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';

const [url, token, ...types] = process.argv.slice(2);
const executablePath = execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim();
const headers = { authorization: `Bearer ${token}` };
const link = await (await fetch(`${url}/api/v1/login-links`, { method: 'POST', headers })).json();
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
// The page is a probe, whose policy allows no connections.
const page = await (await browser.newContext({ bypassCSP: true })).newPage();
await page.exposeFunction('tell', (line) => console.log(line));
await page.goto(`${url}/healthz`);
const login = await page.evaluate(async (secret) => {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ secret });
  return (await fetch('/api/v1/login', { method: 'POST', headers, body })).status;
}, link.data.secret);
console.log(`login ${login}`);
await page.evaluate((types) => {
  const source = new EventSource('/api/v1/events?from=beginning');
  for (const type of types) source.addEventListener(type, (event) => tell(event.lastEventId));
  source.onerror = () => source.readyState === EventSource.CLOSED && tell('closed');
}, types);
