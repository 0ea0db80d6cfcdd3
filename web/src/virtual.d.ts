declare module "virtual:basemap" {
  const url: string;
  export default url;
}

declare module "virtual:gazetteer" {
  const url: string;
  export default url;
}

declare module "swagger-ui-dist/swagger-ui-bundle.js" {
  export default function SwaggerUI(options: Record<string, unknown>): unknown;
}
