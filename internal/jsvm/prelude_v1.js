// Prelude 1: what goja lacks or gets wrong. It never changes once released: a suspended cell is replayed under the
// prelude that it started with. It comes in parts, and a session makes a part when a script first touches what is in
// it (families.go). By then the script may have replaced any built-in: what a part needs while it is made comes from
// natives and builtin, which give built-ins as they were, and never from globals or by iterating.
(function (host) {
'use strict';
const { natives, builtin, symbols, hide, install, bindCall, construct } = host; // hide and install define hidden properties: always, or those that are missing
// Methods are written as object methods, so that like native ones they are no constructors.
const once = (make) => { let made; return () => made === undefined ? (made = make()) : made; };
const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf, create, preventExtensions, keys, is, freeze } =
  natives('Object', 'defineProperty', 'getOwnPropertyDescriptor', 'getPrototypeOf', 'setPrototypeOf', 'create', 'preventExtensions', 'keys', 'is', 'freeze');
const apply = bindCall(natives('FunctionPrototype', 'apply').apply);
const text = natives('StringPrototype', 'slice', 'indexOf'), strSlice = bindCall(text.slice), indexOf = bindCall(text.indexOf);
const push = bindCall(natives('ArrayPrototype', 'push').push);
const util = once(() => {
  const t = natives('StringPrototype', 'charCodeAt', 'split', 'toLowerCase', 'padStart', 'padEnd', 'replaceAll', 'normalize', 'matchAll', 'replace');
  return {
    charCodeAt: bindCall(t.charCodeAt), fromCharCode: natives('String', 'fromCharCode').fromCharCode, join: bindCall(natives('ArrayPrototype', 'join').join), split: bindCall(t.split),
    toLowerCase: bindCall(t.toLowerCase), padStart: bindCall(t.padStart), padEnd: bindCall(t.padEnd), replaceAll: bindCall(t.replaceAll),
    numToString: bindCall(natives('NumberPrototype', 'toString').toString),
    normalize: bindCall(t.normalize), matchAll: bindCall(t.matchAll), replace: bindCall(t.replace), abs: natives('Math', 'abs').abs,
    isArray: natives('Array', 'isArray').isArray,
  };
});
const maps = once(() => {
  const { get, set, has, forEach } = natives('MapPrototype', 'get', 'set', 'has', 'forEach');
  return { NativeMap: builtin('Map'), mapGet: get, mapSet: set, mapHas: has, mapForEach: forEach };
});

// A class of ours, closed.
const closed = (made) => { freeze(made.prototype); freeze(made); };

// --- regular expressions: \p{…} matches only on the backtracking path, which a look-ahead selects ---
const regexps = once(() => {
const NativeRegExp = builtin('RegExp'), prototype = NativeRegExp.prototype;
const suffix = '(?=)';
const plainSlashes = (source) => indexOf(source, '\\u002f') >= 0 ? util().replaceAll(source, '\\u002f', '\\/') : source; // goja escapes them so
const nativeSource = getOwnPropertyDescriptor(prototype, 'source').get;
const needsSuffix = (source, flags) => indexOf(flags, 'u') >= 0 && (indexOf(source, '\\p') >= 0 || indexOf(source, '\\P') >= 0);
const visibleSource = (source) => source.length > 4 && strSlice(source, -4) === suffix && (indexOf(source, '\\p') >= 0 || indexOf(source, '\\P') >= 0) ? strSlice(source, 0, -4) : source;
// The v flag is the u flag where no sets are written; the d flag cannot be had.
const newerFlags = (source, flags) => {
  if (indexOf(flags, 'd') >= 0) throw new SyntaxError("the d flag is not available: take match.index and the lengths of the groups");
  for (const part of ['--', '&&', '\\q{', '[[']) if (indexOf(source, part) >= 0) throw new SyntaxError(`sets of the v flag (${part}) are not available: write one class, or a look-ahead such as (?!…)`);
  let out = '';
  for (const c of flags) out += c === 'v' ? 'u' : c;
  return out;
};
const RegExpWrapper = function RegExp(pattern, flags) {
  const isRegExp = typeof pattern === 'object' && pattern !== null && (pattern[Symbol.match] === undefined ? pattern instanceof NativeRegExp : !!pattern[Symbol.match]);
  if (new.target === undefined && isRegExp && flags === undefined && pattern.constructor === RegExpWrapper) return pattern;
  let source = isRegExp ? pattern.source : pattern === undefined ? '' : `${pattern}`;
  let wanted = flags === undefined ? (isRegExp ? pattern.flags : '') : `${flags}`;
  if (source.length > 150 || indexOf(source, '{') >= 0) host.regexpTooMuch(source, wanted);
  if (indexOf(wanted, 'v') >= 0 || indexOf(wanted, 'd') >= 0) wanted = newerFlags(source, wanted);
  if (needsSuffix(source, wanted) && visibleSource(source) === source) source = host.properties(source) + suffix;
  return construct(NativeRegExp, [source, wanted], new.target === undefined ? RegExpWrapper : new.target);
};
RegExpWrapper.prototype = prototype;
defineProperty(RegExpWrapper, 'prototype', { writable: false, enumerable: false });
defineProperty(RegExpWrapper, 'length', { value: 2 });
defineProperty(RegExpWrapper, symbols.species, getOwnPropertyDescriptor(NativeRegExp, symbols.species));
hide(prototype, 'constructor', RegExpWrapper);
defineProperty(prototype, 'source', { configurable: true, enumerable: false, get: function () { return this === prototype ? '(?:)' : plainSlashes(visibleSource(apply(nativeSource, this, []))); } });
const nativeCompile = prototype.compile;
const regexpMethods = {
  toString() { return `/${this.source}/${this.flags}`; },
  compile(pattern, flags) {
    const made = new RegExpWrapper(pattern, flags);
    return apply(nativeCompile, this, [apply(nativeSource, made, []), made.flags]);
  },
};
hide(prototype, 'toString', regexpMethods.toString);
hide(prototype, 'compile', regexpMethods.compile);
const escapePattern = once(() => {
  const { charCodeAt, numToString, padStart } = util(), names = { __proto__: null, '\t': '\\t', '\n': '\\n', '\v': '\\v', '\f': '\\f', '\r': '\\r' };
  const coded = (c) => { const n = charCodeAt(c, 0); return n < 256 ? '\\x' + padStart(numToString(n, 16), 2, '0') : '\\u' + numToString(n, 16); };
  return (text) => {
    let out = '';
    for (const c of text) {
      if (out === '' && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')) out += coded(c);
      else if (indexOf('^$\\.*+?()[]{}|/', c) >= 0) out += '\\' + c;
      else if (names[c] !== undefined) out += names[c];
      else if (indexOf(',-=<>#&!%:;@~\'`" \u00a0\ufeff\u2028\u2029', c) >= 0 || c >= '\ud800' && c <= '\udfff' && c.length === 1) out += coded(c);
      else out += c;
    }
    return out;
  };
});
install(RegExpWrapper, {
  escape(text) {
    if (typeof text !== 'string') throw new TypeError('RegExp.escape expects a string');
    return escapePattern()(text);
  },
});
return { RegExpWrapper, nativeSource };
});

// --- numbers and dates as text ---
const locale = once(() => {
host.need('RegExp');
const { split, toLowerCase, padStart, padEnd, join, abs, isArray } = util(), NativeDate = builtin('Date');
const separators = (locales) => {
  const tag = toLowerCase(`${isArray(locales) ? locales[0] ?? 'en-US' : locales ?? 'en-US'}`);
  switch (split(tag, '-')[0]) {
    case 'de': return tag === 'de-ch' ? ['’', '.'] : ['.', ','];
    case 'es': case 'it': case 'nl': case 'pt': case 'id': case 'tr': case 'da': return ['.', ','];
    case 'fr': return ['\u202f', ','];
    case 'ru': case 'pl': case 'cs': case 'sv': case 'fi': case 'nb': case 'no': case 'uk': return ['\u00a0', ','];
  }
  return [',', '.'];
};
const group = (digits, sep, indian) => {
  let out = '';
  for (let i = 0; i < digits.length; i++) {
    const rest = digits.length - i;
    if (i > 0 && (indian && rest > 3 ? (rest - 3) % 2 === 0 : rest % 3 === 0)) out += sep;
    out += digits[i];
  }
  return out;
};
// The digits of n ≥ 0 as it is printed, and where the point is among them.
const decimal = (n) => {
  let [mantissa, exponent = '0'] = split(`${n}`, 'e'), [whole, fraction = ''] = split(mantissa, '.');
  let digits = whole + fraction, point = whole.length + +exponent;
  while (digits.length > 1 && digits[0] === '0') { digits = strSlice(digits, 1); point--; }
  return { digits, point };
};
// Rounds at that many digits, halves away from zero, and pads.
const roundAt = (d, count) => {
  if (count < 0) return { digits: '0', point: 1 };
  if (count >= d.digits.length) return d;
  let digits = strSlice(d.digits, 0, count), point = d.point;
  if (d.digits[count] >= '5') {
    let i = count - 1;
    while (i >= 0 && digits[i] === '9') i--;
    if (i < 0) { digits = padEnd('1', count + 1, '0'); point++; }
    else digits = padEnd(strSlice(digits, 0, i) + (+digits[i] + 1), count, '0');
  }
  return { digits: digits === '' ? '0' : digits, point: digits === '' ? 1 : point };
};
const inParts = ({ digits, point }) => point <= 0 ? ['0', padStart(digits, digits.length - point, '0')]
  : [padEnd(strSlice(digits, 0, point), point, '0'), strSlice(digits, point)];
const fixedText = (n, o, min, max) => {
  let d = decimal(n);
  const least = o.minimumSignificantDigits, most = o.maximumSignificantDigits;
  if (least !== undefined || most !== undefined) {
    if (!(most === undefined || most >= (least ?? 1) && most <= 21)) throw new RangeError('maximumSignificantDigits value is out of range.');
    d = roundAt(d, most ?? 21);
    min = least === undefined ? 0 : least - d.point; max = 100;
  } else d = roundAt(d, d.point + max);
  let [whole, fraction] = inParts(d);
  while (fraction.length > max || fraction.length > min && fraction[fraction.length - 1] === '0') fraction = strSlice(fraction, 0, -1);
  return [whole, padEnd(fraction, min, '0')];
};
const currencySigns = { USD: '$', EUR: '€', GBP: '£', JPY: '¥', INR: '₹', CNY: 'CN¥', KRW: '₩', BRL: 'R$', CAD: 'CA$', AUD: 'A$', MXN: 'MX$', NZD: 'NZ$', HKD: 'HK$', ILS: '₪', VND: '₫', TWD: 'NT$' };
const currencyNames = { USD: 'US dollars', EUR: 'euros', GBP: 'British pounds', JPY: 'Japanese yen', CAD: 'Canadian dollars', AUD: 'Australian dollars', CHF: 'Swiss francs', INR: 'Indian rupees', CNY: 'Chinese yuan' };
const units = { percent: '%', celsius: '°C', fahrenheit: '°F', degree: ' deg', meter: ' m', kilometer: ' km', centimeter: ' cm', millimeter: ' mm', mile: ' mi', foot: ' ft', inch: ' in', gram: ' g', kilogram: ' kg', pound: ' lb', ounce: ' oz', liter: ' L', milliliter: ' mL', byte: ' byte', kilobyte: ' kB', megabyte: ' MB', gigabyte: ' GB', terabyte: ' TB', bit: ' bit', second: ' sec', minute: ' min', hour: ' hr', millisecond: ' ms', 'kilometer-per-hour': ' km/h', 'mile-per-hour': ' mph', 'meter-per-second': ' m/s' };
const compactSteps = [[1e12, 'T', ' trillion'], [1e9, 'B', ' billion'], [1e6, 'M', ' million'], [1e3, 'K', ' thousand']];
const formatNumber = (value, locales, options) => {
  const o = options ?? {}, [thousands, point] = separators(locales), style = o.style ?? 'decimal';
  if (value !== value) return 'NaN';
  if (style !== 'decimal' && style !== 'percent' && style !== 'currency' && style !== 'unit') throw new RangeError(`Value ${style} out of range for Number.prototype.toLocaleString options property style`);
  const currency = style === 'currency' ? `${o.currency}`.toUpperCase() : '';
  if (style === 'currency' && o.currency === undefined) throw new TypeError('Currency code is required with currency style.');
  if (style === 'unit' && units[o.unit] === undefined) throw new RangeError(`The unit ${o.unit} is not available: format the number and write the unit after it`);
  if (o.notation !== undefined && o.notation !== 'standard' && o.notation !== 'compact') throw new RangeError(`The notation ${o.notation} is not available: use toExponential`);
  const negative = value < 0 || is(value, -0);
  let n = style === 'percent' ? abs(value) * 100 : abs(value), suffix = '';
  if (style === 'percent' && n !== Infinity) { const d = decimal(abs(value)); n = +`${d.digits}e${d.point - d.digits.length + 2}`; }
  const compact = o.notation === 'compact';
  if (compact) for (let i = compactSteps.length - 1; i >= 0; i--) {
    const [step, short, long] = compactSteps[i];
    if (abs(value) >= step * 0.9995) { suffix = o.compactDisplay === 'long' ? long : short; n = abs(value) / step; }
  }
  const digits = style === 'currency' && !compact ? (currency === 'JPY' || currency === 'KRW' || currency === 'VND' ? 0 : 2) : 0;
  const min = o.minimumFractionDigits ?? (o.maximumFractionDigits !== undefined && o.maximumFractionDigits < digits ? o.maximumFractionDigits : digits);
  const max = o.maximumFractionDigits ?? (compact ? (n < 99.5 && suffix !== '' || n < 100 ? (n < 9.95 ? 1 : 0) : 0) : style === 'currency' ? (min > digits ? min : digits) : style === 'percent' ? (min > 0 ? min : 0) : (min > 3 ? min : 3));
  if (!(min >= 0 && max >= 0 && max <= 100 && min <= max)) throw new RangeError('maximumFractionDigits value is out of range.');
  let text;
  if (n === Infinity) text = '∞';
  else {
    let [whole, fraction] = fixedText(n, o, min, max);
    if (o.minimumIntegerDigits !== undefined) whole = padStart(whole, o.minimumIntegerDigits, '0');
    const tag = toLowerCase(`${isArray(locales) ? locales[0] ?? '' : locales ?? ''}`);
    text = (o.useGrouping === false ? whole : group(whole, thousands, tag === 'en-in' || tag === 'hi-in')) + (fraction === '' ? '' : point + fraction);
  }
  text += suffix;
  if (style === 'percent') text += point === ',' ? '\u00a0%' : '%';
  if (style === 'unit') text += o.unitDisplay === 'long' ? ' ' + o.unit + (n === 1 ? '' : 's') : units[o.unit];
  let sign = negative ? '-' : o.signDisplay === 'always' || o.signDisplay === 'exceptZero' && value !== 0 ? '+' : '';
  if (o.signDisplay === 'never') sign = '';
  if (style === 'currency') {
    if (o.currencyDisplay === 'name') return sign + text + ' ' + (currencyNames[currency] ?? currency);
    const mark = o.currencyDisplay === 'code' ? currency : o.currencyDisplay === 'narrowSymbol' ? (currencySigns[currency] ?? currency).replace('CA$', '$').replace('A$', '$').replace('CN', '') : currencySigns[currency] ?? currency;
    text = point === ',' ? text + '\u00a0' + mark : (mark.length > 2 && mark === currency ? mark + '\u00a0' : mark) + text;
    if (o.currencySign === 'accounting' && sign === '-') return `(${text})`;
  }
  return sign + text;
};
const monthNames = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];
const dayNames = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const two = (n) => (n < 10 ? '0' : '') + n;
// The order of the numbers of a date, and whether the clock has 12 hours; names of months and days are English.
const dateForms = (locales) => {
  const tag = toLowerCase(`${isArray(locales) ? locales[0] ?? 'en-US' : locales ?? 'en-US'}`);
  switch (tag) {
    case 'en-ca': return { form: 'Y-M-D', pad: true, twelve: true, dayFirst: false };
    case 'en-gb': case 'en-ie': case 'en-nz': case 'en-za': return { form: 'D/M/Y', pad: true, twelve: false, dayFirst: true };
    case 'en-au': case 'en-in': return { form: 'D/M/Y', pad: tag === 'en-au', twelve: true, dayFirst: true };
    case 'de-ch': return { form: 'D.M.Y', pad: false, twelve: false, dayFirst: true };
  }
  switch (split(tag, '-')[0]) {
    case 'sv': case 'lt': return { form: 'Y-M-D', pad: true, twelve: false, dayFirst: true };
    case 'de': case 'fi': case 'da': case 'nb': case 'no': return { form: 'D.M.Y', pad: false, twelve: false, dayFirst: true };
    case 'ru': case 'tr': case 'uk': case 'ro': return { form: 'D.M.Y', pad: true, twelve: false, dayFirst: true };
    case 'pl': return { form: 'D.M.Y', pad: 'month', twelve: false, dayFirst: true };
    case 'cs': return { form: 'D. M. Y', pad: false, twelve: false, dayFirst: true };
    case 'fr': case 'pt': return { form: 'D/M/Y', pad: true, twelve: false, dayFirst: true };
    case 'es': case 'it': return { form: 'D/M/Y', pad: false, twelve: false, dayFirst: true };
    case 'nl': return { form: 'D-M-Y', pad: false, twelve: false, dayFirst: true };
    case 'ja': case 'zh': return { form: 'Y/M/D', pad: false, twelve: false, dayFirst: false };
  }
  return { form: 'M/D/Y', pad: false, twelve: true, dayFirst: false };
};
// Dates are formatted in UTC; the common options are honoured.
const formatDate = (date, locales, options, date0, time0) => {
  const t = apply(getTime, date, []);
  if (t !== t) return 'Invalid Date';
  const d = new NativeDate(t), given = options ?? {}, by = dateForms(locales);
  if (given.timeZone !== undefined && given.timeZone !== 'UTC' && given.timeZone !== 'GMT') throw new RangeError(`Time zone ${given.timeZone} is not available: cells run in UTC`);
  const o = { weekday: given.weekday, year: given.year, month: given.month, day: given.day, hour: given.hour, minute: given.minute, second: given.second, hour12: given.hour12 ?? (given.hourCycle === undefined ? by.twelve : given.hourCycle === 'h12' || given.hourCycle === 'h11') };
  const ds = given.dateStyle, ts = given.timeStyle;
  if (ds !== undefined) { o.year = ds === 'short' ? '2-digit' : 'numeric'; o.month = ds === 'short' ? 'numeric' : ds === 'medium' ? 'short' : 'long'; o.day = 'numeric'; if (ds === 'full') o.weekday = 'long'; }
  if (ts !== undefined) { o.hour = o.minute = 'numeric'; if (ts !== 'short') o.second = 'numeric'; }
  const anyDate = o.weekday ?? o.year ?? o.month ?? o.day, anyTime = o.hour ?? o.minute ?? o.second;
  if (anyDate === undefined && anyTime === undefined) {
    if (date0) o.year = o.month = o.day = 'numeric';
    if (time0) o.hour = o.minute = o.second = 'numeric';
  } else if (ds === undefined && ts === undefined) {
    if (date0 && !time0 && anyDate === undefined) o.year = o.month = o.day = 'numeric';
    if (time0 && !date0 && anyTime === undefined) o.hour = o.minute = o.second = 'numeric';
  }
  const y = o.year && (o.year === '2-digit' ? two(d.getUTCFullYear() % 100) : `${d.getUTCFullYear()}`);
  const day = o.day && (o.day === '2-digit' ? two(d.getUTCDate()) : `${d.getUTCDate()}`);
  const w = o.weekday && (o.weekday === 'long' ? dayNames[d.getUTCDay()] : strSlice(dayNames[d.getUTCDay()], 0, 3));
  const parts = [];
  if (o.month === 'long' || o.month === 'short') {
    const name = monthNames[d.getUTCMonth()], m = o.month === 'long' ? name : strSlice(name, 0, 3);
    if (by.dayFirst) push(parts, join([w, join([day, m, y].filter((x) => x), ' ')].filter((x) => x), w === undefined || o.weekday === 'long' ? ' ' : ', '));
    else {
      const md = day ? `${m} ${day}` : m;
      push(parts, join([w, y && day ? `${md}, ${y}` : y ? `${md} ${y}` : md].filter((x) => x), ', '));
    }
  } else {
    const full = o.year && o.month && o.day;
    const m = o.month && (o.month === '2-digit' || full && by.pad ? two(d.getUTCMonth() + 1) : `${d.getUTCMonth() + 1}`);
    const D = full && by.pad === true ? two(d.getUTCDate()) : day, by3 = { D, M: m, Y: y };
    let n = '', sep = by.form[1] === '.' && by.form[2] === ' ' ? '. ' : by.form[1];
    for (const part of by.form) if (by3[part]) n += (n === '' ? '' : sep) + by3[part];
    if (full === undefined && o.month === undefined && n !== '' && sep !== '/') n = join([day, y].filter((x) => x), ' ');
    const wn = join([w, n].filter((x) => x), ', ');
    if (wn) push(parts, wn);
  }
  if (o.hour ?? o.minute ?? o.second) {
    const h24 = d.getUTCHours(), twelve = o.hour12 !== false, hour = twelve ? h24 % 12 || 12 : h24;
    const clock = [];
    if (o.hour) push(clock, o.hour === '2-digit' || !twelve ? two(hour) : `${hour}`);
    if (o.minute) push(clock, o.hour || o.second ? two(d.getUTCMinutes()) : `${d.getUTCMinutes()}`);
    if (o.second) push(clock, o.minute ? two(d.getUTCSeconds()) : `${d.getUTCSeconds()}`);
    let text = join(clock, ':') + (o.hour && twelve ? (by.form === 'M/D/Y' ? (h24 < 12 ? ' AM' : ' PM') : by.form === 'Y-M-D' ? (h24 < 12 ? ' a.m.' : ' p.m.') : (h24 < 12 ? ' am' : ' pm')) : '');
    if (given.timeZoneName !== undefined) text += ' UTC';
    push(parts, text);
  }
  return join(parts, ds === 'long' || ds === 'full' ? ' at ' : by.form[1] === '-' && !by.twelve || by.form[0] === 'Y' && !by.twelve || split(`${locales}`, '-')[0] === 'fr' ? ' ' : ', ');
};
const { normalize, matchAll, replace } = util(), marks = /[\u0300-\u036f]/g, numbers = /\d+|\D+/g;
// Compares text with the options numeric and sensitivity.
const compare = (a, b, { numeric, sensitivity }) => {
  const plain = (text) => {
    if (sensitivity === 'base' || sensitivity === 'case') text = replace(normalize(text, 'NFD'), marks, '');
    return sensitivity === 'base' || sensitivity === 'accent' ? toLowerCase(text) : text;
  };
  a = plain(a); b = plain(b);
  if (numeric) {
    const left = [], right = [];
    for (const m of matchAll(a, numbers)) push(left, m[0]);
    for (const m of matchAll(b, numbers)) push(right, m[0]);
    for (let i = 0; i < left.length && i < right.length; i++) {
      const difference = +left[i] - +right[i]; // NaN where one is no number
      if (difference < 0 || difference > 0) return difference < 0 ? -1 : 1;
      const order = difference === 0 ? 0 : apply(nativeCompare, left[i], [right[i]]);
      if (order !== 0) return order;
    }
    return left.length === right.length ? 0 : left.length < right.length ? -1 : 1;
  }
  return apply(nativeCompare, a, [b]);
};
return { separators, group, formatNumber, formatDate, compare };
});
const nativeCompare = natives('StringPrototype', 'localeCompare').localeCompare, getTime = natives('DatePrototype', 'getTime').getTime;
const thisNumber = natives('NumberPrototype', 'valueOf').valueOf, thisBigInt = natives('BigIntPrototype', 'valueOf').valueOf;
const textMethods = () => ({
  NumberPrototype: { toLocaleString(locales, options) { return locale().formatNumber(apply(thisNumber, this, []), locales, options); } },
  BigIntPrototype: { toLocaleString(locales) {
    const text = `${apply(thisBigInt, this, [])}`, negative = text[0] === '-';
    return (negative ? '-' : '') + locale().group(negative ? strSlice(text, 1) : text, locale().separators(locales)[0], false);
  } },
  StringPrototype: {
    localeCompare(that, locales, options) {
      const order = apply(nativeCompare, this, [that]);
      return options === undefined || options === null || order === 0 ? order : locale().compare(`${this}`, `${that}`, options);
    },
    isWellFormed() { const text = `${this}`; return wellFormed(text) === text; },
    toWellFormed() { return wellFormed(`${this}`); },
  },
  DatePrototype: {
    toLocaleString(locales, options) { return locale().formatDate(this, locales, options, true, true); },
    toLocaleDateString(locales, options) { return locale().formatDate(this, locales, options, true, false); },
    toLocaleTimeString(locales, options) { return locale().formatDate(this, locales, options, false, true); },
  },
});

// --- waits that compete, and newer built-ins ---
const waits = () => {
const { race, all } = natives('Promise', 'race', 'all'), NativePromise = builtin('Promise');
return {
  first(...waits) { host.join('first', waits, 'first'); return apply(race, NativePromise, [waits]); },
  all(...waits) {
    if (waits.length === 0) throw new TypeError('all needs at least one promise: write all(a, b)');
    if (waits.length === 1 && util().isArray(waits[0])) throw new TypeError('argument 1 of all is an array: write all(...list)');
    return apply(all, NativePromise, [waits]);
  },
};
};
const wellFormed = (text) => {
  let out = '';
  for (const c of text) out += c.length === 1 && c >= '\ud800' && c <= '\udfff' ? '\ufffd' : c;
  return out;
};
const objectMethods = () => ({
  groupBy(items, f) {
    const out = create(null);
    let i = 0;
    for (const item of items) {
      let key = f(item, i++);
      if (typeof key !== 'symbol') key = `${key}`;
      if (out[key] === undefined) out[key] = [];
      push(out[key], item);
    }
    return out;
  },
});
const mapMethods = () => ({
  groupBy(items, f) {
    const { NativeMap, mapGet, mapSet, mapHas } = maps(), out = new NativeMap();
    let i = 0;
    for (const item of items) {
      const key = f(item, i++);
      if (!apply(mapHas, out, [key])) apply(mapSet, out, [key, []]);
      push(apply(mapGet, out, [key]), item);
    }
    return out;
  },
});
const arrayMethods = () => ({
  async fromAsync(items, f, self) {
    const out = [];
    const iterate = items[Symbol.asyncIterator];
    if (iterate !== undefined) {
      const it = apply(iterate, items, []);
      for (let step = await it.next(); !step.done; step = await it.next()) push(out, f ? await apply(f, self, [step.value, out.length]) : step.value);
      return out;
    }
    const list = items[Symbol.iterator] !== undefined ? items : Array.from(items);
    for (const item of list) { const value = await item; push(out, f ? await apply(f, self, [value, out.length]) : value); }
    return out;
  },
});

// --- iterator helpers ---
const iterators = () => {
const IteratorPrototype = builtin('IteratorPrototype'), floor = natives('Math', 'floor').floor;
const needFunction = (f) => { if (typeof f !== 'function') throw new TypeError(`${typeof f} is not a function`); };
const needCount = (n) => { const c = +n; if (!(c >= 0)) throw new RangeError(`${n} must be positive`); return floor(c); };
const Iterator = function Iterator() {
  if (new.target === undefined || new.target === Iterator) throw new TypeError('Abstract class Iterator not directly constructable');
};
Iterator.prototype = IteratorPrototype;
defineProperty(Iterator, 'prototype', { writable: false, enumerable: false });
const each = (it) => ({ [Symbol.iterator]: () => ({ next: () => it.next(), return: (v) => (it.return ? it.return(v) : { done: true, value: v }) }) });
install(IteratorPrototype, {
  map(f) { needFunction(f); const it = each(this); return (function* () { let i = 0; for (const v of it) yield f(v, i++); })(); },
  filter(f) { needFunction(f); const it = each(this); return (function* () { let i = 0; for (const v of it) if (f(v, i++)) yield v; })(); },
  take(n) { const c = needCount(n), it = each(this); return (function* () { let i = 0; if (c === 0) return; for (const v of it) { yield v; if (++i >= c) return; } })(); },
  drop(n) { const c = needCount(n), it = each(this); return (function* () { let i = 0; for (const v of it) if (i++ >= c) yield v; })(); },
  flatMap(f) { needFunction(f); const it = each(this); return (function* () { let i = 0; for (const v of it) yield* f(v, i++); })(); },
  reduce(f, ...init) {
    needFunction(f);
    let has = init.length > 0, acc = init[0], i = 0;
    for (const v of each(this)) { if (has) acc = f(acc, v, i); else { acc = v; has = true; } i++; }
    if (!has) throw new TypeError('Reduce of a done iterator with no initial value');
    return acc;
  },
  toArray() { const out = []; for (const v of each(this)) push(out, v); return out; },
  forEach(f) { needFunction(f); let i = 0; for (const v of each(this)) f(v, i++); },
  some(f) { needFunction(f); let i = 0; for (const v of each(this)) if (f(v, i++)) return true; return false; },
  every(f) { needFunction(f); let i = 0; for (const v of each(this)) if (!f(v, i++)) return false; return true; },
  find(f) { needFunction(f); let i = 0; for (const v of each(this)) if (f(v, i++)) return v; return undefined; },
});
hide(IteratorPrototype, 'constructor', Iterator);
install(Iterator, {
  from(o) {
    const it = o[Symbol.iterator] !== undefined ? o[Symbol.iterator]() : o;
    return (function* () { yield* each(it); })();
  },
});
return { Iterator };
};

// --- bytes and text ---
const bytes = once(() => {
const { charCodeAt, fromCharCode, toLowerCase, join } = util();
const utf8 = (text) => {
  const out = [];
  for (let i = 0; i < text.length; i++) {
    let c = charCodeAt(text, i);
    if (c >= 0xd800 && c < 0xe000) {
      const d = c < 0xdc00 && i + 1 < text.length ? charCodeAt(text, i + 1) : 0;
      if (d >= 0xdc00 && d < 0xe000) { c = 0x10000 + ((c - 0xd800) << 10) + (d - 0xdc00); i++; } else c = 0xfffd;
    }
    if (c < 0x80) push(out, c);
    else if (c < 0x800) push(out, 0xc0 | (c >> 6), 0x80 | (c & 63));
    else if (c < 0x10000) push(out, 0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
    else push(out, 0xf0 | (c >> 18), 0x80 | ((c >> 12) & 63), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
  }
  return out;
};
const fromUtf8 = (bytes, fatal) => {
  let out = '';
  const bad = () => { if (fatal) throw new TypeError('The encoded data was not valid for encoding utf-8'); out += '\ufffd'; };
  for (let i = 0; i < bytes.length;) {
    const b = bytes[i++];
    if (b < 0x80) { out += fromCharCode(b); continue; }
    const more = b >= 0xc2 && b < 0xe0 ? 1 : b >= 0xe0 && b < 0xf0 ? 2 : b >= 0xf0 && b < 0xf5 ? 3 : 0;
    let c = more === 1 ? b & 31 : more === 2 ? b & 15 : b & 7, n = 0;
    while (n < more && i < bytes.length && (bytes[i] & 0xc0) === 0x80) {
      if (n === 0 && (b === 0xe0 && bytes[i] < 0xa0 || b === 0xed && bytes[i] >= 0xa0 || b === 0xf0 && bytes[i] < 0x90 || b === 0xf4 && bytes[i] >= 0x90)) break;
      c = (c << 6) | (bytes[i++] & 63); n++;
    }
    if (more === 0 || n < more) { bad(); continue; }
    if (c < 0x10000) out += fromCharCode(c);
    else { c -= 0x10000; out += fromCharCode(0xd800 + (c >> 10), 0xdc00 + (c & 1023)); }
  }
  return out;
};
const NativeUint8Array = builtin('Uint8Array'), NativeError = builtin('Error');
class TextEncoder {
  get encoding() { return 'utf-8'; }
  encode(text = '') { return new NativeUint8Array(utf8(`${text}`)); }
}
class TextDecoder {
  #fatal; #bom;
  constructor(label = 'utf-8', options) {
    const name = toLowerCase(`${label}`);
    if (name !== 'utf-8' && name !== 'utf8') throw new RangeError(`The encoding ${label} is not available: only utf-8 is`);
    this.#fatal = !!options?.fatal; this.#bom = !!options?.ignoreBOM;
  }
  get encoding() { return 'utf-8'; }
  decode(data) {
    if (data === undefined) return '';
    const bytes = ArrayBuffer.isView(data) ? new NativeUint8Array(data.buffer, data.byteOffset, data.byteLength) : new NativeUint8Array(data);
    const out = fromUtf8(bytes, this.#fatal);
    return !this.#bom && out[0] === '\ufeff' ? strSlice(out, 1) : out;
  }
}
const digits64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const invalidCharacter = (message) => { const e = new NativeError(message); hide(e, 'name', 'InvalidCharacterError'); return e; };
closed(TextEncoder); closed(TextDecoder);
return { utf8, fromUtf8, TextEncoder, TextDecoder,
  btoa(text) {
    const s = `${text}`, out = [];
    for (let i = 0; i < s.length; i += 3) {
      const a = charCodeAt(s, i), b = i + 1 < s.length ? charCodeAt(s, i + 1) : 0, c = i + 2 < s.length ? charCodeAt(s, i + 2) : 0;
      if (a > 255 || b > 255 || c > 255) throw invalidCharacter('btoa takes characters up to \\u00ff: encode with TextEncoder first');
      push(out, digits64[a >> 2] + digits64[((a & 3) << 4) | (b >> 4)] + (i + 1 < s.length ? digits64[((b & 15) << 2) | (c >> 6)] : '=') + (i + 2 < s.length ? digits64[c & 63] : '='));
    }
    return join(out, '');
  },
  atob(text) {
    let s = '';
    for (const c of `${text}`) if (indexOf(' \t\n\f\r', c) < 0) s += c;
    if (s.length % 4 === 0) { if (strSlice(s, -2) === '==') s = strSlice(s, 0, -2); else if (strSlice(s, -1) === '=') s = strSlice(s, 0, -1); }
    if (s.length % 4 === 1) throw invalidCharacter('The string to be decoded is not correctly encoded.');
    let bits = 0, n = 0;
    const out = [];
    for (const c of s) {
      const v = indexOf(digits64, c);
      if (v < 0) throw invalidCharacter('The string to be decoded is not correctly encoded.');
      bits = ((bits << 6) | v) & 0xffffff; n += 6;
      if (n >= 8) { n -= 8; push(out, fromCharCode((bits >> n) & 255)); }
    }
    return join(out, '');
  },
};
});
const globals = () => {
const { then } = natives('PromisePrototype', 'then'), promise = apply(natives('Promise', 'resolve').resolve, builtin('Promise'), []);
return {
  btoa(text) { return bytes().btoa(text); },
  atob(text) { return bytes().atob(text); },
  queueMicrotask(f) {
    if (typeof f !== 'function') throw new TypeError('queueMicrotask expects a function');
    apply(then, promise, [() => { f(); }]);
  },
  structuredClone(value) { return cloner()(value, new (maps().NativeMap)()); },
};
};

// --- structuredClone ---
const cloner = once(() => {
const { NativeMap, mapGet, mapSet, mapHas, mapForEach } = maps(), { forEach: setForEach, add: setAdd } = natives('SetPrototype', 'forEach', 'add'), { getTime } = natives('DatePrototype', 'getTime');
const NativeSet = builtin('Set'), NativeDate = builtin('Date'), NativeError = builtin('Error'), { RegExpWrapper } = regexps();
const errorTypes = {
  __proto__: null, Error: NativeError, EvalError: builtin('EvalError'), RangeError: builtin('RangeError'), ReferenceError: builtin('ReferenceError'),
  SyntaxError: builtin('SyntaxError'), TypeError: builtin('TypeError'), URIError: builtin('URIError'),
};
const dataCloneError = (what) => { const e = new NativeError(`${what} could not be cloned.`); hide(e, 'name', 'DataCloneError'); return e; };
const clone = (value, seen) => {
  if (typeof value === 'function' || typeof value === 'symbol') throw dataCloneError(typeof value === 'function' ? `function ${value.name}` : 'A symbol');
  if (typeof value !== 'object' || value === null) return value;
  if (apply(mapHas, seen, [value])) return apply(mapGet, seen, [value]);
  const note = (copy) => { apply(mapSet, seen, [value, copy]); return copy; };
  const kind = host.kind(value);
  switch (kind) {
    case 'Date': return note(new NativeDate(apply(getTime, value, [])));
    case 'RegExp': return note(new RegExpWrapper(value.source, value.flags));
    case 'Map': { const copy = note(new NativeMap()); const list = []; apply(mapForEach, value, [(v, k) => { push(list, [k, v]); }]); for (let i = 0; i < list.length; i++) apply(mapSet, copy, [clone(list[i][0], seen), clone(list[i][1], seen)]); return copy; }
    case 'Set': { const copy = note(new NativeSet()); const list = []; apply(setForEach, value, [(v) => { push(list, v); }]); for (let i = 0; i < list.length; i++) apply(setAdd, copy, [clone(list[i], seen)]); return copy; }
    case 'ArrayBuffer': return note(value.slice(0));
    case 'Number': case 'String': case 'Boolean': case 'BigInt': return note(Object(value.valueOf()));
    case 'Error': {
      const ctor = errorTypes[value.name];
      const copy = note(new (ctor === undefined ? NativeError : ctor)());
      for (const name of ['message', 'stack', 'cause']) {
        const d = getOwnPropertyDescriptor(value, name);
        if (d !== undefined && 'value' in d) hide(copy, name, clone(d.value, seen));
      }
      return copy;
    }
    case 'Array': case 'Object': break;
    default:
      if (ArrayBuffer.isView(value)) {
        const buffer = clone(value.buffer, seen);
        return note(kind === 'DataView' ? new DataView(buffer, value.byteOffset, value.byteLength) : new value.constructor(buffer, value.byteOffset, value.length));
      }
      throw dataCloneError(`#<${kind}>`);
  }
  const copy = note(kind === 'Array' ? [] : {});
  if (kind === 'Array') copy.length = value.length;
  for (const key of keys(value)) defineProperty(copy, key, { value: clone(value[key], seen), writable: true, enumerable: true, configurable: true });
  return copy;
};
return clone;
});

// --- URLs ---
const addresses = once(() => {
host.need('RegExp'); host.need('makers'); host.need('Iterator');
const exec = bindCall(natives('RegExpPrototype', 'exec').exec);
const { charCodeAt, fromCharCode, toLowerCase, join, split, replaceAll, numToString } = util(), { utf8, fromUtf8 } = bytes();
const encodeComponent = (text) => {
  let out = '';
  for (const b of utf8(text)) {
    const c = fromCharCode(b);
    if (b === 32) out += '+';
    else if (b >= 48 && b <= 57 || b >= 65 && b <= 90 || b >= 97 && b <= 122 || indexOf('*-._', c) >= 0) out += c;
    else out += '%' + (b < 16 ? '0' : '') + numToString(b, 16).toUpperCase();
  }
  return out;
};
const hexValue = (c) => { const v = indexOf('0123456789abcdef', toLowerCase(c)); return c === '' ? -1 : v; };
const decodeComponent = (text) => {
  const out = [], bytes = utf8(text);
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === 43) push(out, 32);
    else if (bytes[i] === 37 && i + 2 < bytes.length && hexValue(fromCharCode(bytes[i + 1])) >= 0 && hexValue(fromCharCode(bytes[i + 2])) >= 0) {
      push(out, hexValue(fromCharCode(bytes[i + 1])) * 16 + hexValue(fromCharCode(bytes[i + 2]))); i += 2;
    } else push(out, bytes[i]);
  }
  return fromUtf8(out, false);
};
const percent = (text, keep) => {
  let out = '';
  for (const b of utf8(text)) {
    const c = fromCharCode(b);
    out += b > 32 && b < 127 && indexOf(keep, c) < 0 ? c : '%' + (b < 16 ? '0' : '') + numToString(b, 16).toUpperCase();
  }
  return out;
};
class URLSearchParams {
  #list = []; #url = null;
  static attach(params, url) { params.#url = url; }
  constructor(init = '') {
    if (typeof init === 'object' && init !== null || typeof init === 'function') {
      if (init[Symbol.iterator] !== undefined) {
        for (const pair of init) {
          const [k, v, ...rest] = pair;
          if (rest.length > 0 || v === undefined && pair.length < 2) throw new TypeError('Each query pair must be an iterable [name, value] tuple');
          push(this.#list, [`${k}`, `${v}`]);
        }
      } else for (const k of keys(init)) push(this.#list, [k, `${init[k]}`]);
    } else {
      let text = `${init}`;
      if (text[0] === '?') text = strSlice(text, 1);
      for (const part of split(text, '&')) {
        if (part === '') continue;
        const at = indexOf(part, '=');
        push(this.#list, at < 0 ? [decodeComponent(part), ''] : [decodeComponent(strSlice(part, 0, at)), decodeComponent(strSlice(part, at + 1))]);
      }
    }
  }
  #update() { if (this.#url !== null) this.#url(this.toString()); }
  get size() { return this.#list.length; }
  append(k, v) { push(this.#list, [`${k}`, `${v}`]); this.#update(); }
  delete(k, v) { this.#list = this.#list.filter((p) => p[0] !== `${k}` || v !== undefined && p[1] !== `${v}`); this.#update(); }
  get(k) { const p = this.#list.find((p) => p[0] === `${k}`); return p === undefined ? null : p[1]; }
  getAll(k) { return this.#list.filter((p) => p[0] === `${k}`).map((p) => p[1]); }
  has(k, v) { return this.#list.some((p) => p[0] === `${k}` && (v === undefined || p[1] === `${v}`)); }
  set(k, v) {
    const i = this.#list.findIndex((p) => p[0] === `${k}`);
    if (i < 0) push(this.#list, [`${k}`, `${v}`]);
    else { this.#list[i][1] = `${v}`; this.#list = this.#list.filter((p, j) => j <= i || p[0] !== `${k}`); }
    this.#update();
  }
  sort() { this.#list.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)); this.#update(); }
  forEach(f, self) { for (const [k, v] of this.#list) apply(f, self, [v, k, this]); }
  *entries() { for (const [k, v] of this.#list) yield [k, v]; }
  *keys() { for (const [k] of this.#list) yield k; }
  *values() { for (const [, v] of this.#list) yield v; }
  toString() { return join(this.#list.map(([k, v]) => encodeComponent(k) + '=' + encodeComponent(v)), '&'); }
}
const attach = URLSearchParams.attach;
delete URLSearchParams.attach;
hide(URLSearchParams.prototype, symbols.iterator, URLSearchParams.prototype.entries);
const ports = { __proto__: null, 'http:': '80', 'https:': '443', 'ws:': '80', 'wss:': '443', 'ftp:': '21', 'file:': '' };
const schemeForm = /^([a-zA-Z][a-zA-Z0-9+.-]*):/, authorityForm = /^([^\/?#]*)([^?#]*)(\?[^#]*)?(#[\s\S]*)?$/, pathForm = /^([^?#]*)(\?[^#]*)?(#[\s\S]*)?$/;
const normalPath = (path) => {
  const out = [], parts = split(path, '/');
  for (let i = 0; i < parts.length; i++) {
    const p = toLowerCase(parts[i]), last = i === parts.length - 1;
    if (p === '..' || p === '%2e%2e' || p === '.%2e' || p === '%2e.') { if (out.length > 1) out.length--; if (last) push(out, ''); }
    else if (p === '.' || p === '%2e') { if (last) push(out, ''); }
    else push(out, parts[i]);
  }
  return join(out, '/');
};
const parseURL = (input, base) => {
  let text = replaceAll(replaceAll(replaceAll(`${input}`.trim(), '\n', ''), '\t', ''), '\r', '');
  const fail = () => { const e = new TypeError(`Invalid URL: ${input}`); hide(e, 'code', 'ERR_INVALID_URL'); return e; };
  const scheme = exec(schemeForm, text);
  const u = { protocol: '', username: '', password: '', hostname: '', port: '', pathname: '', search: '', hash: '' };
  let rest;
  if (scheme !== null) { u.protocol = toLowerCase(scheme[0]); rest = strSlice(text, scheme[0].length); }
  else {
    if (base === undefined) throw fail();
    const b = parseURL(base);
    u.protocol = b.protocol;
    if (!(b.protocol in ports)) throw fail();
    rest = text;
    if (strSlice(rest, 0, 2) !== '//') {
      u.username = b.username; u.password = b.password; u.hostname = b.hostname; u.port = b.port;
      const m = exec(pathForm, rest);
      if (m[1] === '') { u.pathname = b.pathname; u.search = m[2] === undefined ? (m[3] === undefined && rest !== '' ? '' : b.search) : m[2]; if (rest !== '' && m[2] === undefined) u.search = b.search; }
      else {
        const dir = strSlice(b.pathname, 0, b.pathname.lastIndexOf('/') + 1);
        u.pathname = normalPath(m[1][0] === '/' ? m[1] : (dir === '' ? '/' : dir) + m[1]); u.search = m[2] ?? '';
      }
      u.hash = m[3] ?? '';
      return tidy(u);
    }
  }
  const special = u.protocol in ports;
  if (special) rest = replaceAll(rest, '\\', '/');
  if (special || strSlice(rest, 0, 2) === '//') {
    let i = 0;
    while (rest[i] === '/' && (special && u.protocol !== 'file:' || i < 2)) i++;
    const m = exec(authorityForm, strSlice(rest, i));
    let host = m[1];
    const at = host.lastIndexOf('@');
    if (at >= 0) {
      const user = strSlice(host, 0, at), colon = indexOf(user, ':');
      u.username = percent(colon < 0 ? user : strSlice(user, 0, colon), '/:;=@[]^|?#'); u.password = colon < 0 ? '' : percent(strSlice(user, colon + 1), '/:;=@[]^|?#');
      host = strSlice(host, at + 1);
    }
    const port = exec(/:(\d*)$/, host);
    if (port !== null && !(host[0] === '[' && host[host.length - 1] === ']')) { u.port = port[1] === '' ? '' : `${+port[1]}`; if (+port[1] > 65535) throw fail(); host = strSlice(host, 0, -port[0].length); }
    if (special && u.protocol !== 'file:' && host === '' || exec(/[\s<>^|%]/, host) !== null || indexOf(host, ':') >= 0 && host[0] !== '[') throw fail();
    u.hostname = toLowerCase(host);
    if (u.port === ports[u.protocol]) u.port = '';
    u.pathname = normalPath(m[2] === '' && special ? '/' : m[2]); u.search = m[3] ?? ''; u.hash = m[4] ?? '';
  } else {
    const m = exec(pathForm, rest);
    u.pathname = m[1]; u.search = m[2] ?? ''; u.hash = m[3] ?? '';
  }
  return tidy(u);
};
const tidy = (u) => {
  u.pathname = percent(u.pathname, '"#<>?`{}^');
  u.search = u.search === '?' ? '' : percent(u.search, u.protocol in ports ? '"#<>\'' : '"#<>');
  u.hash = u.hash === '#' ? '' : percent(u.hash, '"<>`');
  return u;
};
class URL {
  #u; #params = null;
  constructor(input, base) { this.#u = parseURL(input, base === undefined ? undefined : `${base}`); }
  static canParse(input, base) { try { parseURL(input, base); return true; } catch { return false; } }
  static parse(input, base) { try { return new URL(input, base); } catch { return null; } }
  get href() {
    const u = this.#u, auth = u.username === '' && u.password === '' ? '' : u.username + (u.password === '' ? '' : ':' + u.password) + '@';
    return u.protocol + (u.hostname !== '' || u.protocol in ports ? '//' : '') + auth + this.host + u.pathname + u.search + u.hash;
  }
  set href(v) { this.#u = parseURL(v); this.#params = null; }
  get origin() { return this.#u.protocol in ports && this.#u.protocol !== 'file:' ? this.#u.protocol + '//' + this.host : 'null'; }
  get protocol() { return this.#u.protocol; }
  set protocol(v) { this.#u = parseURL(strSlice(`${v}`, -1) === ':' ? v + strSlice(this.href, this.#u.protocol.length) : v + ':' + strSlice(this.href, this.#u.protocol.length)); }
  get username() { return this.#u.username; } set username(v) { this.#u.username = percent(`${v}`, '/:;=@[]^|?#'); }
  get password() { return this.#u.password; } set password(v) { this.#u.password = percent(`${v}`, '/:;=@[]^|?#'); }
  get host() { return this.#u.hostname + (this.#u.port === '' ? '' : ':' + this.#u.port); }
  set host(v) { const p = parseURL('http://' + v); this.#u.hostname = p.hostname; this.#u.port = p.port; }
  get hostname() { return this.#u.hostname; } set hostname(v) { this.#u.hostname = parseURL('http://' + v).hostname; }
  get port() { return this.#u.port; } set port(v) { this.#u.port = `${v}` === ports[this.#u.protocol] ? '' : `${v}`; }
  get pathname() { return this.#u.pathname; } set pathname(v) { this.#u.pathname = percent(normalPath(`${v}`[0] === '/' ? `${v}` : '/' + v), '"#<>?`{}^'); }
  get search() { return this.#u.search; }
  set search(v) { const s = `${v}`; this.#u.search = s === '' || s === '?' ? '' : percent(s[0] === '?' ? s : '?' + s, '"#<>\''); this.#params = null; }
  get hash() { return this.#u.hash; } set hash(v) { const s = `${v}`; this.#u.hash = s === '' || s === '#' ? '' : percent(s[0] === '#' ? s : '#' + s, '"<>`'); }
  get searchParams() {
    if (this.#params === null) { this.#params = new URLSearchParams(this.#u.search); attach(this.#params, (s) => { this.#u.search = s === '' ? '' : '?' + s; }); }
    return this.#params;
  }
  toString() { return this.href; }
  toJSON() { return this.href; }
}
closed(URL); closed(URLSearchParams);
return { URL, URLSearchParams };
});

// --- eval: off unless allowed; then it runs in the global scope, through the same checks as a cell ---
const makers = () => {
const functions = getPrototypeOf(function () {}), asyncs = getPrototypeOf(async function () {}), generators = getPrototypeOf(function* () {});
const nativeAsync = asyncs.constructor, nativeGenerator = generators.constructor;
const make = (name, prototype, keyword) => {
  const maker = { [name]: function (...args) { return host.makeFunction(keyword, args.length === 0 ? '' : `${args[args.length - 1]}`, util().join(args.slice(0, -1).map((a) => `${a}`), ',')); } }[name];
  maker.prototype = prototype;
  defineProperty(maker, 'prototype', { writable: false, enumerable: false });
  defineProperty(maker, 'length', { value: 1 });
  return maker;
};
const NewFunction = make('Function', functions, 'function'), AsyncFunction = make('AsyncFunction', asyncs, 'async function'), GeneratorFunction = make('GeneratorFunction', generators, 'function*');
const replace = (prototype, maker) => {
  setPrototypeOf(maker, NewFunction);
  defineProperty(prototype, 'constructor', { value: maker, writable: false, enumerable: false, configurable: true });
};
replace(asyncs, AsyncFunction); replace(generators, GeneratorFunction);
preventExtensions(NewFunction); preventExtensions(nativeAsync); preventExtensions(nativeGenerator); preventExtensions(asyncs); preventExtensions(generators);
return { Function: NewFunction, AsyncFunction, GeneratorFunction, eval: { eval(source) { return typeof source === 'string' ? host.evaluate(source) : source; } }.eval };
};

// Built-ins that no global leads to.
const hidden = () => {
const asyncs = getPrototypeOf(async function () {}), generators = getPrototypeOf(function* () {}), iterator = builtin('iterator');
return [builtin('IteratorPrototype'), asyncs, generators, generators.prototype,
  getPrototypeOf(iterator([])), getPrototypeOf(iterator(new (maps().NativeMap)())), getPrototypeOf(iterator(new (builtin('Set'))())), getPrototypeOf(iterator(''))];
};
return { regexps, textMethods, waits, objectMethods, mapMethods, arrayMethods, iterators, bytes, globals, addresses, makers, hidden };
})
