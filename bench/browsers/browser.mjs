// Starting browsers for a story: headless, with a fresh profile, on loopback alone, silent to the rest of the world.

import puppeteer from 'puppeteer-core';

const CHROMIUM = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
  '--autoplay-policy=no-user-gesture-required', '--allow-loopback-in-peer-connection',
  // The participants share one machine but not, in truth, one screen: none of them is in the background.
  '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
];

const FIREFOX = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  'dom.min_background_timeout_value': 4,
  'dom.timeout.enable_budget_timer_throttling': false,
  'media.gmp-manager.updateEnabled': false, // no codecs are fetched from anywhere
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

const EXECUTABLES = {
  chromium: process.env.CHROMIUM ?? '/usr/bin/chromium',
  firefox: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
};

// launch starts a browser by name, chromium or firefox, in its current version's own way of being driven.
export function launch(name) {
  const common = { protocol: 'webDriverBiDi', executablePath: EXECUTABLES[name], headless: true, timeout: 40_000, protocolTimeout: 60_000 };
  if (name === 'chromium') return puppeteer.launch({ ...common, browser: 'chrome', args: CHROMIUM });
  if (name === 'firefox') return puppeteer.launch({ ...common, browser: 'firefox', extraPrefsFirefox: FIREFOX });
  throw new Error(`there is no browser ${name}`);
}
