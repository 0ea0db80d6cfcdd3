import { render } from "preact";
import "./style/base.css";
import "./style/layout.css";
import "./style/parts.css";
import { begin } from "./model/session";
import { App } from "./ui/App";

begin();
render(<App />, document.getElementById("app")!);
