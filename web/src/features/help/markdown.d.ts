declare module "*.md" {
  const guide: import("./outline").Guide;
  export default guide;
}
