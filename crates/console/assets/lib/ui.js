// What every module draws with. One import, so that the vendored file can be replaced in one place.
export {
  Fragment, batch, computed, effect, h, html, render, signal, untracked, useCallback, useEffect, useLayoutEffect,
  useMemo, useRef, useState,
} from '/console/vendor/preact.js';
