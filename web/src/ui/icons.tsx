// The page's pictograms: drawn on a 20 × 20 grid in the colour of the text.
import type { ComponentChildren } from "preact";

const icon = (children: ComponentChildren) => () => (
  <svg class="icon" viewBox="0 0 20 20" width="18" height="18" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
    {children}
  </svg>
);

export const Search = icon(<><circle cx="8.7" cy="8.7" r="5.2" /><path d="m12.7 12.7 4 4" /></>);
export const Picture = icon(<><rect x="2.8" y="3.8" width="14.4" height="12.4" rx="2" /><circle cx="7" cy="8" r="1.3" /><path d="m3.2 14.2 4-3.6 3 2.6 3.4-3.8 3.4 3.4" /></>);
export const Sliders = icon(<><path d="M3 6h7m4 0h3M3 14h3m4 0h7" /><circle cx="12" cy="6" r="2" /><circle cx="8" cy="14" r="2" /></>);
export const Funnel = icon(<path d="M3.5 4h13l-5 6v5l-3 1.5V10z" />);
export const Plus = icon(<path d="M10 4.5v11M4.5 10h11" />);
export const Minus = icon(<path d="M4.5 10h11" />);
export const Close = icon(<path d="m5.5 5.5 9 9m0-9-9 9" />);
export const Star = icon(<path d="m10 3 2.1 4.4 4.9.7-3.5 3.4.8 4.8L10 14l-4.3 2.3.8-4.8L3 8.1l4.9-.7z" />);
export const Box = icon(<><rect x="3.5" y="5" width="13" height="10" stroke-dasharray="2.6 2.2" /></>);
export const Shape = icon(<path d="m10 3.5 6.5 4.6-2.4 7.7H6.2L3.5 8.6z" stroke-dasharray="2.8 2.2" />);
export const Lasso = icon(<path d="M6.2 13.600C4 12.800 2.800 11.300 2.800 9.500 2.800 6.500 6 4.200 10 4.200s7.200 2.300 7.200 5.300-3.200 5.300-7.200 5.300c-.8 0-1.500-.1-2.200-.2M6.600 12.200a1.600 1.600 0 1 0 .1 3.200c.9 0 1.400-.7 1.200-1.500-.2-.9-.7-1.500-1.300-1.700zm.1 3.200c-.1 1-.6 1.600-1.600 1.800" />);
export const Fit = icon(<path d="M3.5 7.5v-4h4m5 0h4v4m0 5v4h-4m-5 0h-4v-4" />);
export const Layers = icon(<><path d="m10 3.5 7 3.7-7 3.7-7-3.7z" /><path d="m3.5 10.7 6.5 3.4 6.5-3.4" /></>);
export const Flame = icon(<path d="M10 17c-3.2 0-5.2-2.2-5.2-4.9 0-2.5 1.7-3.9 2.8-5.6.5 1 .9 1.5 1.6 2C9.4 6.3 9.7 4.6 11 3c.3 2.5 4.2 4.7 4.2 8.900C15.2 14.8 13.2 17 10 17z" />);
export const Sun = icon(<><circle cx="10" cy="10" r="3.2" /><path d="M10 2.500v1.800m0 11.400v1.800M2.5 10h1.800m11.4 0h1.800M4.7 4.7 6 6m8 8 1.3 1.300M4.7 15.3 6 14m8-8 1.3-1.3" /></>);
export const Moon = icon(<path d="M16 11.800A6.5 6.5 0 0 1 8.2 4 6.5 6.5 0 1 0 16 11.800z" />);
export const Help = icon(<><circle cx="10" cy="10" r="7" /><path d="M8 8a2 2 0 1 1 2.7 1.900c-.5.2-.7.5-.7 1.100v.3M10 14v.1" /></>);
export const SignOut = icon(<path d="M8 3.500H4.500v13H8M12.500 6.500 16 10l-3.500 3.500M16 10H8" />);
export const Back = icon(<path d="M12 4.5 6.5 10l5.5 5.5" />);
export const Next = icon(<path d="M8 4.5 13.5 10 8 15.5" />);
export const Share = icon(<><path d="M8.5 11.500a3 3 0 0 0 4.2 0l2.6-2.600a3 3 0 0 0-4.2-4.200L10 5.8" /><path d="M11.5 8.500a3 3 0 0 0-4.2 0l-2.6 2.600a3 3 0 0 0 4.2 4.200L10 14.2" /></>);
export const Download = icon(<path d="M10 3.500v8.500m-3.5-3L10 12.5 13.5 9M3.5 14v2.500h13V14" />);
export const Clock = icon(<><circle cx="10" cy="10" r="6.8" /><path d="M10 6v4l2.8 1.8" /></>);
export const Swipe = icon(<><rect x="2.8" y="4.5" width="14.4" height="11" rx="1.5" /><path d="M10 3v14" /></>);
export const Bolt = icon(<path d="m11 3-6 8h4.500L9 17l6-8h-4.500z" />);
export const Pin = icon(<><path d="M10 17s5-4.6 5-8.600A5 5 0 0 0 5 8.400C5 12.4 10 17 10 17z" /><circle cx="10" cy="8.4" r="1.7" /></>);
export const Check = icon(<path d="m4.5 10.5 3.5 3.5 7.5-8" />);
export const Trash = icon(<path d="M4 6h12M8 6V4h4v2m-6.5 0 .7 10h7.600l.7-10" />);
export const Tag = icon(<><path d="M3.5 4.500v5l7 7 6-6-7-7h-5z" /><circle cx="7" cy="7.500" r="1" /></>);
export const GridView = icon(<><rect x="3.500" y="3.500" width="5" height="5" rx="1" /><rect x="11.500" y="3.500" width="5" height="5" rx="1" /><rect x="3.500" y="11.500" width="5" height="5" rx="1" /><rect x="11.500" y="11.500" width="5" height="5" rx="1" /></>);
export const Rows = icon(<path d="M3.500 5h13M3.500 10h13M3.500 15h13" />);
export const Ruler = icon(<><path d="m3 13.500 10.500-10.500 3.500 3.500L6.500 17z" /><path d="m6 10.500 1.500 1.500m1-4 1.500 1.500m1-4 1.500 1.500" /></>);
export const Bell = icon(<><path d="M5.500 13.500V9a4.500 4.500 0 0 1 9 0v4.500l1.500 1.500h-12z" /><path d="M8.500 17h3" /></>);
export const Pause = icon(<path d="M7 5v10M13 5v10" />);
export const Play = icon(<path d="M6.500 4.500v11l9-5.500z" />);
export const Upload = icon(<path d="M10 12.500v-9m-3.500 3L10 3l3.500 3.500M3.500 13.500v3h13v-3" />);
export const Edit = icon(<path d="m4 16 .8-3.500 8.500-8.500 2.700 2.700-8.500 8.500zM11.500 5.800l2.700 2.700" />);
export const Undo = icon(<><path d="M4 8.500h8a4 4 0 0 1 0 8H8" /><path d="M7 5 3.500 8.500 7 12" /></>);
export const Brand = () => (
  <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
    <path d="M5 11.5 16 5.500l11 6-11 6z" fill="#ffb938" />
    <path d="m5 16.8 11 6 11-6" fill="none" stroke="#e8627c" stroke-width="2.7" stroke-linejoin="round" stroke-linecap="round" />
    <path d="m5 21.6 11 6 11-6" fill="none" stroke="#7566e8" stroke-width="2.7" stroke-linejoin="round" stroke-linecap="round" />
  </svg>
);
