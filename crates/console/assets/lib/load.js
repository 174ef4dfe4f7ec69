// Something of the API that a component shows: asked for when it appears and when the question changes.

import { useEffect, useRef, useState } from './ui.js';
import { get } from './api.js';

/** How often something is asked for while the service is busy. */
const PATIENCE = 40;

/** `{ value, problem, again }`; the value of the question before stays until the new one is there. */
export function useGet(path, query) {
  const question = path && JSON.stringify([path, query]);
  const [state, setState] = useState({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!question) return undefined;
    const abort = new AbortController();
    let timer = 0;
    const ask = (tries) => get(path, query, abort.signal).then(
      (value) => setState({ value, of: question }),
      (error) => {
        // Searches wait for one another: what a page left behind ends a moment later.
        if (error.status === 429 && tries < PATIENCE) timer = setTimeout(() => ask(tries + 1), 1000);
        else if (error.name !== 'AbortError') setState({ problem: error.message, status: error.status, of: question });
      },
    );
    ask(0);
    return () => { abort.abort(); clearTimeout(timer); };
  }, [question, turn]);
  return { ...state, fresh: state.of === question, again: () => setTurn((count) => count + 1) };
}

/** Asks again a little after something changed, however often it goes on changing. */
export function useAgain(again, changes, millis) {
  const timer = useRef(0);
  const latest = useRef(again);
  latest.current = again;
  useEffect(() => {
    if (changes) timer.current ||= setTimeout(() => { timer.current = 0; latest.current(); }, millis);
  }, [changes]);
  useEffect(() => () => clearTimeout(timer.current), []);
}
