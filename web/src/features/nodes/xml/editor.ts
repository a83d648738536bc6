import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { xml } from "@codemirror/lang-xml";
import {
  HighlightStyle,
  bracketMatching,
  foldGutter,
  foldKeymap,
  indentUnit,
  syntaxHighlighting,
} from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, Transaction } from "@codemirror/state";
import { EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

import "./editor.css";

// Classes, so that the colours follow the theme.
const colors = HighlightStyle.define([
  { tag: [tags.tagName, tags.angleBracket], class: "sl-xml__tag" },
  { tag: tags.attributeName, class: "sl-xml__attribute" },
  { tag: tags.attributeValue, class: "sl-xml__value" },
  { tag: [tags.comment, tags.processingInstruction], class: "sl-xml__comment" },
]);

interface EditorOptions {
  text: string;
  isReadOnly: boolean;
  /** The accessible name. */
  label: string;
  /** Called with the whole text after each change. */
  onChange: (text: string) => void;
}

/** A viewer or editor of an XML document in an element of the page, until close is called. */
export class XMLEditor {
  private readonly view: EditorView;
  private readonly readOnly = new Compartment();

  constructor(element: HTMLElement, { text, isReadOnly, label, onChange }: EditorOptions) {
    this.view = new EditorView({
      parent: element,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(),
          foldGutter(),
          history(),
          bracketMatching(),
          highlightActiveLine(),
          highlightSelectionMatches(),
          search({ top: true }),
          indentUnit.of("  "),
          xml(),
          syntaxHighlighting(colors),
          // Tab moves the focus, as everywhere on the page.
          keymap.of([...defaultKeymap, ...historyKeymap, ...foldKeymap, ...searchKeymap]),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
          this.readOnly.of(EditorState.readOnly.of(isReadOnly)),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) {
              onChange(update.state.doc.toString());
            }
          }),
        ],
      }),
    });
  }

  /**
   * Replaces the text, without an undo step. Only the part that differs is replaced, so that the
   * cursor keeps its position. Does nothing if the text is the same.
   */
  setText(text: string): void {
    const now = this.view.state.doc.toString();
    if (now === text) {
      return;
    }
    const shorter = Math.min(now.length, text.length);
    let from = 0;
    while (from < shorter && now[from] === text[from]) {
      from++;
    }
    let after = 0;
    while (after < shorter - from && now[now.length - 1 - after] === text[text.length - 1 - after]) {
      after++;
    }
    this.view.dispatch({
      changes: { from, to: now.length - after, insert: text.slice(from, text.length - after) },
      annotations: Transaction.addToHistory.of(false),
    });
  }

  /** Whether the editor shows this text without changes. */
  isUntouched(text: string): boolean {
    return !this.view.state.readOnly && this.view.state.doc.toString() === text;
  }

  setReadOnly(isReadOnly: boolean): void {
    this.view.dispatch({ effects: this.readOnly.reconfigure(EditorState.readOnly.of(isReadOnly)) });
  }

  focus(): void {
    this.view.focus();
  }

  close(): void {
    this.view.destroy();
  }
}
