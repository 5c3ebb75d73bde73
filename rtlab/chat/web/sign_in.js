// The door: a form that asks for a token, or for a name where the server lets anybody in by name.

import { Credentials, keptName } from "./credentials.js";
import { byId, focusOn, say, show } from "./dom.js";
import { inWords } from "./words.js";
import { tidyName, whyNoName } from "./writing.js";

export class SignIn {
  #byName = document.querySelector('meta[name="sign-in"]').content === "name";
  #field = byId(this.#byName ? "name" : "token");
  #button = byId("enter");
  #enter;

  /** @param {(credentials: Credentials) => void} enter  is called with what somebody has signed in with */
  constructor(enter) {
    this.#enter = enter;
    show(byId(this.#byName ? "by-name" : "by-token"), true);
    if (this.#byName) this.#field.value = keptName();
    byId("sign-in").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    byId("token").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.#submit();
    });
  }

  /** Show the form, with the reason in a sentence if there is one. */
  show(reason = "") {
    this.#wait(false);
    this.#complain(reason);
    focusOn(this.#field);
  }

  /** Forget what was typed. */
  clear() {
    this.#field.value = this.#byName ? keptName() : "";
  }

  /** Say why it takes so long. */
  waiting(sentence) {
    say(byId("reason"), sentence);
  }

  async #submit() {
    const typed = this.#field.value;
    const value = this.#byName ? tidyName(typed) : typed.trim();
    let fault = this.#byName ? whyNoName(value) : "";
    if (!value) fault = this.#byName ? "Which name would you like to have?" : "Paste a token first.";
    if (fault) {
      this.#complain(fault);
      this.#field.focus();
      return;
    }
    this.#complain("");
    this.#wait(true);
    try {
      this.#enter(this.#byName ? await Credentials.byName(value) : new Credentials(value));
    } catch (problem) {
      this.show(problem.code === "gone" ? "The server cannot be reached. Try again in a moment." : inWords(problem));
    }
  }

  #complain(sentence) {
    say(byId("reason"), sentence);
    if (sentence) this.#field.setAttribute("aria-invalid", "true");
    else this.#field.removeAttribute("aria-invalid");
  }

  #wait(waits) {
    say(this.#button, waits ? "Signing in …" : "Sign in");
    this.#button.setAttribute("aria-disabled", String(waits));
  }
}
