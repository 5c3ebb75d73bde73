// Where one writes. Enter sends, Shift and Enter begin a new line.

import { byId, focusOn } from "./dom.js";
import { tidyText } from "./writing.js";

/** Pixels. What is longer scrolls. */
const TALLEST = 160;

export class Composer {
  #form = byId("compose");
  #input = byId("text");
  #actions;

  /** @param actions  `send(text)`, which gives whether it was taken, and `typed()` when something is being written */
  constructor(actions) {
    this.#actions = actions;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#input.addEventListener("keydown", (event) => {
      // an Enter that ends the composition of a Chinese or Japanese word belongs to the word
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#send();
    });
    this.#input.addEventListener("input", () => {
      this.#grow();
      if (this.#input.value.trim()) this.#actions.typed();
    });
  }

  get text() {
    return this.#input.value;
  }

  set text(text) {
    this.#input.value = text;
    this.#grow();
  }

  /** For the room in front, or for none. */
  open(room) {
    const name = room ? `Message to ${room.name}` : "Message";
    this.#form.hidden = !room;
    this.#input.setAttribute("aria-label", name);
    this.text = room?.draft ?? "";
  }

  focus() {
    focusOn(this.#input);
  }

  #send() {
    const text = tidyText(this.text);
    if (!text) return;
    if (this.#actions.send(text)) this.text = "";
  }

  #grow() {
    this.#input.style.height = "auto";
    this.#input.style.height = `${Math.min(this.#input.scrollHeight + 2, TALLEST)}px`;
  }
}
