// Elements of the page. What people wrote enters the document here, and only as text: nothing in this folder ever hands
// a string to a parser of markup, and the page's policy (require-trusted-types-for) would stop it if it did.

/** An element of index.html. */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * A new element.
 * @param {string} tag
 * @param {Object<string, string|boolean>} attributes  `text` is its text; true sets an empty attribute, false none
 * @param {...(Node|string)} children
 */
export function element(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** A circle with somebody's initial; decoration, as the name always stands beside it. */
export function paintAvatar(circle, name) {
  circle.textContent = [...name][0]?.toUpperCase() ?? "?";
  circle.dataset.hue = String(hash(name) % 8);
  return circle;
}

/** A number that is always the same for a text, and another one for most others (FNV-1a). */
function hash(text) {
  const mixed = [...text].reduce((sum, each) => Math.imul(sum ^ each.codePointAt(0), 16777619), 2166136261);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** Show or hide, and leave alone what is right already. */
export function show(shown, visible) {
  if (shown.hidden === visible) shown.hidden = !visible;
}

/** Set a text, and leave alone what says so already: a live region would say it again. */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/**
 * Give something the focus, unless that would take it from outside: a frame beside a notebook's cell must not have what
 * is typed into the next cell.
 */
export function focusOn(field) {
  if (window === window.parent || document.hasFocus()) field.focus();
}
