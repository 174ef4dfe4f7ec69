// Times as people read them. Everything is shown in the time zone of the browser, and in full when pointed at.

import { t } from './text.js';

const pad = (value, width = 2) => String(value).padStart(width, '0');

/** `2026-11-22 11:16:20`, in the time zone of the browser. */
export function stamp(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** As `stamp`, without the year while that is the year of now. */
export const shortStamp = (time) => {
  const whole = stamp(time);
  return whole.startsWith(`${new Date().getFullYear()}-`) ? whole.slice(5) : whole;
};

/** As `stamp`, with milliseconds and the distance from UTC. */
export function fullStamp(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? '-' : '+';
  return `${stamp(time)}.${pad(date.getMilliseconds(), 3)} ${sign}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`;
}

/** A span of seconds in two units at most: `3 d 4 h`. */
export function span(seconds) {
  const units = [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]];
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [unit, size] of units) {
    const count = Math.floor(left / size);
    if (count > 0 && parts.length < 2) parts.push(`${count} ${t(`unit.${unit}`)}`);
    if (parts.length) left -= count * size;
    else left %= size;
    if (parts.length === 2) break;
  }
  return parts.join(' ') || `0 ${t('unit.s')}`;
}

/** How long ago a time is. */
export const ago = (time, now = Date.now()) => t('time.ago', { span: span((now - new Date(time).getTime()) / 1000) });

const UNITS = { m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 };

/** A time as the API takes it (RFC 3339, a day, or a time ago) in milliseconds; `NaN` where it is none of these. */
export function millis(text, now = Date.now()) {
  const ago = /^(\d+)([mhdw])$/.exec(text);
  return ago ? now - Number(ago[1]) * UNITS[ago[2]] : new Date(text).getTime();
}

/** Time ranges to choose from. */
export const RANGES = ['1h', '24h', '7d', '30d', '90d', ''];
