import { render } from "preact";
import "./style/base.css";
import "./style/layout.css";
import "./style/parts.css";
import { start } from "./model/actions";
import { App } from "./ui/App";

start();
render(<App />, document.getElementById("app")!);
