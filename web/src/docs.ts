// The API's documentation: Swagger UI, bundled, with this server's OpenAPI document.
import SwaggerUI from "swagger-ui-dist/swagger-ui-bundle.js";
import "swagger-ui-dist/swagger-ui.css";
import "./style/docs.css";

const address = new URL(".", document.baseURI).href.replace(/\/$/, "");

async function show(): Promise<void> {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  const spec = (await response.json()) as Record<string, unknown>;
  // Behind a proxy, the server may not know its own address.
  SwaggerUI({ spec: { ...spec, servers: [{ url: address }] }, dom_id: "#docs", deepLinking: true, docExpansion: "list", defaultModelsExpandDepth: 0, tryItOutEnabled: true });
}

show().catch((error: unknown) => {
  document.getElementById("docs")!.textContent = `The API documentation did not load: ${String(error)}`;
});
