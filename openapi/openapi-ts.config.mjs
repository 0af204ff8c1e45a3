// How the TypeScript client is generated; INPUT and OUTPUT come from whoever runs it.
export default {
  input: process.env.INPUT,
  output: { path: process.env.OUTPUT, importFileExtension: ".js" },
  plugins: ["@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk"],
};
