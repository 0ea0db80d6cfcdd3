// Draws up to some million points with WebGL; positions and colours are on the graphics card, so moving the view costs one draw call.
const VERTEX = `
attribute vec2 place; attribute vec4 color; uniform vec2 center; uniform vec2 scale; uniform float size; varying vec4 shade;
void main() { gl_Position = vec4((place - center) * scale, 0.0, 1.0); gl_PointSize = size; shade = color; }`;
const FRAGMENT = `
precision mediump float; varying vec4 shade;
void main() { vec2 from = gl_PointCoord - 0.5; float edge = 1.0 - smoothstep(0.36, 0.5, length(from)); if (edge * shade.a < 0.01) discard; gl_FragColor = vec4(shade.rgb, shade.a * edge); }`;
const MOST_ZOOM = 400;
const FIT = 0.94;

export interface ScreenPoint { x: number; y: number }

export class Scatter {
  private readonly gl: WebGLRenderingContext;
  private readonly program: WebGLProgram;
  private readonly places: WebGLBuffer;
  private readonly colors: WebGLBuffer;
  private xy = new Float32Array(0);
  private pending = 0;
  private center: [number, number] = [0, 0];
  private zoom = 1;

  /** Throws where the browser has no WebGL. */
  constructor(private readonly canvas: HTMLCanvasElement, private readonly onDraw: () => void) {
    const gl = canvas.getContext("webgl", { antialias: false, preserveDrawingBuffer: true, premultipliedAlpha: false });
    if (!gl) throw new Error("WebGL");
    this.gl = gl;
    const program = gl.createProgram()!;
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
      const shader = gl.createShader(kind)!;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    this.program = program;
    [this.places, this.colors] = [gl.createBuffer()!, gl.createBuffer()!];
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  setPlaces(xy: Float32Array): void {
    this.xy = xy as Float32Array<ArrayBuffer>;
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.places);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, this.xy, this.gl.STATIC_DRAW);
    this.draw();
  }

  /** Four bytes for each point: red, green, blue, opacity. */
  setColors(rgba: Uint8Array): void {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.colors);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, rgba as Uint8Array<ArrayBuffer>, this.gl.STATIC_DRAW);
    this.draw();
  }

  resize(width: number, height: number, ratio: number): void {
    [this.canvas.width, this.canvas.height] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    this.draw();
  }

  reset(): void {
    [this.center, this.zoom] = [[0, 0], 1];
    this.draw();
  }

  /** Move by pixels of the page. */
  pan(dx: number, dy: number): void {
    const [sx, sy] = this.scale();
    const { clientWidth, clientHeight } = this.canvas;
    this.center = [this.center[0] - (2 * dx) / clientWidth / sx, this.center[1] + (2 * dy) / clientHeight / sy];
    this.draw();
  }

  /** Zoom by a factor around a point of the page. */
  zoomAt(at: ScreenPoint, factor: number): void {
    const before = this.toPlace(at);
    this.zoom = Math.min(MOST_ZOOM, Math.max(0.7, this.zoom * factor));
    const after = this.toPlace(at);
    this.center = [this.center[0] + before[0] - after[0], this.center[1] + before[1] - after[1]];
    this.draw();
  }

  /** Where a place is on the canvas, in pixels of the page. */
  toScreen(x: number, y: number): ScreenPoint {
    const [sx, sy] = this.scale();
    return { x: (((x - this.center[0]) * sx + 1) / 2) * this.canvas.clientWidth, y: ((1 - (y - this.center[1]) * sy) / 2) * this.canvas.clientHeight };
  }

  /** The point nearest to a position, within some pixels; null where there is none. */
  pick(at: ScreenPoint, within: number): number | null {
    const [x, y] = this.toPlace(at);
    const [sx, sy] = this.scale();
    const [kx, ky] = [(sx * this.canvas.clientWidth) / 2, (sy * this.canvas.clientHeight) / 2];
    let [best, least] = [null as number | null, within * within];
    for (let index = 0; index < this.xy.length; index += 2) {
      const [dx, dy] = [(this.xy[index]! - x) * kx, (this.xy[index + 1]! - y) * ky];
      const far = dx * dx + dy * dy;
      if (far < least) [best, least] = [index / 2, far];
    }
    return best;
  }

  /** All points inside a line around them, in pixels of the page. */
  inside(line: readonly ScreenPoint[]): number[] {
    const ring = line.map((point) => this.toPlace(point));
    const [xs, ys] = [ring.map(([x]) => x), ring.map(([, y]) => y)];
    const [west, east, south, north] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const found: number[] = [];
    for (let index = 0; index < this.xy.length; index += 2) {
      const [x, y] = [this.xy[index]!, this.xy[index + 1]!];
      if (x < west || x > east || y < south || y > north) continue;
      let isIn = false;
      for (let a = 0, b = ring.length - 1; a < ring.length; b = a++) {
        const [ax, ay] = ring[a]!;
        const [bx, by] = ring[b]!;
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) isIn = !isIn;
      }
      if (isIn) found.push(index / 2);
    }
    return found;
  }

  close(): void {
    cancelAnimationFrame(this.pending);
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  private scale(): [number, number] {
    const { clientWidth, clientHeight } = this.canvas;
    const side = Math.min(clientWidth, clientHeight) * FIT * this.zoom;
    return [side / Math.max(1, clientWidth), side / Math.max(1, clientHeight)];
  }

  private toPlace({ x, y }: ScreenPoint): [number, number] {
    const [sx, sy] = this.scale();
    return [((2 * x) / this.canvas.clientWidth - 1) / sx + this.center[0], (1 - (2 * y) / this.canvas.clientHeight) / sy + this.center[1]];
  }

  private draw(): void {
    cancelAnimationFrame(this.pending);
    this.pending = requestAnimationFrame(() => this.paint());
  }

  private paint(): void {
    const { gl, canvas, program } = this;
    const count = this.xy.length / 2;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(program);
    for (const [name, buffer, size, type] of [["place", this.places, 2, gl.FLOAT], ["color", this.colors, 4, gl.UNSIGNED_BYTE]] as const) {
      const at = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, size, type, name === "color", 0, 0);
    }
    const ratio = canvas.width / Math.max(1, canvas.clientWidth);
    // Fewer points are larger; they grow a little as one comes nearer.
    const size = Math.min(14, Math.max(1.6, (60 / Math.sqrt(Math.max(60, count))) * 7) * this.zoom ** 0.25);
    gl.uniform2fv(gl.getUniformLocation(program, "center"), this.center);
    gl.uniform2fv(gl.getUniformLocation(program, "scale"), this.scale());
    gl.uniform1f(gl.getUniformLocation(program, "size"), size * ratio);
    gl.drawArrays(gl.POINTS, 0, count);
    this.onDraw();
  }
}
