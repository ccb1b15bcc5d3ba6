import { chooseTheme, type Theme, useTheme } from "../design/theme";

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

export function ThemeSwitch() {
  const theme = useTheme();
  return (
    <button type="button" onClick={() => chooseTheme(NEXT[theme])} aria-label={`Colours: ${theme}. Change to ${NEXT[theme]}.`}>
      Colours: {theme}
    </button>
  );
}
