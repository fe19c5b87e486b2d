// What the page says to its user.

const note = document.getElementById("note");

/** Say something above the page; a mistake stands out. */
export function say(text, wrong = false) {
  note.textContent = text;
  note.classList.toggle("wrong", wrong);
}

/** Run what may fail; what goes wrong is said, of the picture `about` if one is named. */
export async function attempt(work, about = null) {
  try {
    return await work();
  } catch (error) {
    say(about ? `${about}: ${error.message.replace(/^picture: /, "")}` : error.message, true);
    return null;
  }
}
