/** What people do with the dashboard: publish, roll out, take back, and what may not be. */
import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { renderApp } from "@/testing/render-app";
import { mockId } from "@/testing/mock-api/random";
import { IDS } from "@/testing/mock-api/makers";

const title = (name: string | RegExp) => screen.findByRole("heading", { level: 1, name });

describe("a version and its rollout", () => {
  it("is approved by an administrator and then can be planned", async () => {
    const { user } = renderApp(`/versions/${mockId(21, 4)}`);
    await title("digits 1.3.0");
    await user.click(screen.getByRole("button", { name: "Approve…" }));
    await user.click(await screen.findByRole("button", { name: "Approve version" }));
    expect(await screen.findByRole("link", { name: "Plan rollout" })).toHaveAttribute("href", `/rollouts/new?version=${mockId(21, 4)}`);
  });

  it("shows which class a bad model confuses", async () => {
    renderApp(`/versions/${mockId(21, 3)}`);
    await title("digits 1.2.0");
    const classes = await screen.findByRole("table", { name: "Accuracy per class" });
    expect(within(classes).getByText(/61\.1/)).toHaveClass("crit");
  });

  it("is planned with a preview, and started", async () => {
    const { user, server, history } = renderApp(`/rollouts/new?version=${mockId(21, 2)}`);
    const preview = await screen.findByRole("complementary", { name: "Preview" });
    expect(await within(preview).findByText("61 devices")).toBeInTheDocument();
    const waves = screen.getByLabelText("Waves after it");
    await user.clear(waves);
    await user.type(waves, "25");
    await user.click(screen.getByRole("button", { name: "Start rollout" }));
    expect(screen.getByText(/Enter rising percentages/)).toBeInTheDocument();
    await user.type(waves, ", 100");
    await user.click(screen.getByRole("button", { name: "Start rollout" }));
    await waitFor(() => expect(history.location.pathname).toMatch(/^\/rollouts\/0193/));
    expect(server.world.rollouts[0]).toMatchObject({ name: "digits 1.1.0", state: "running", policy: { waves: [25, 100] } });
  });

  it("is taken back by a person with a reason", async () => {
    const { user, server } = renderApp(`/rollouts/${mockId(30, 2)}`);
    await user.click(await screen.findByRole("button", { name: "Roll back…" }));
    expect(await screen.findByRole("dialog", { name: "Roll back 60 devices?" })).toBeInTheDocument();
    await user.type(screen.getByLabelText("Reason"), "complaints from the field");
    await user.click(screen.getByRole("button", { name: "Roll back" }));
    await waitFor(() => expect(server.world.rollouts.find((rollout) => rollout.id === mockId(30, 2))?.state).toBe("rolling_back"));
  });

  it("is uploaded in pieces and published", async () => {
    const { user, server, history } = renderApp("/models/publish?model=digits");
    await title("Publish version");
    const file = new File([new Uint8Array(9_000)], "digits.onnx");
    await user.upload(await screen.findByLabelText("Model file"), file);
    expect(await screen.findByText(/9\.0.kB sent/)).toBeInTheDocument();
    await user.type(screen.getByRole("textbox", { name: "Version" }), "1.1.0");
    await user.click(screen.getByRole("button", { name: "Publish version" }));
    expect((await screen.findAllByText("This version exists already.")).length).toBeGreaterThan(0);
    await user.type(screen.getByRole("textbox", { name: "Version" }), "-b");
    await user.click(screen.getByRole("button", { name: "Publish version" }));
    await waitFor(() => expect(history.location.pathname).toMatch(/^\/versions\//));
    expect([...server.world.uploads.values()][0]).toMatchObject({ offset: 9_000, length: 9_000 });
  });
});

describe("drift and alerts", () => {
  it("names the worst cell and follows the chosen one in the address", async () => {
    const { user, history } = renderApp("/drift");
    await title("Contrast drifts in eu-north on coral-dev");
    await user.click(screen.getByRole("gridcell", { name: /^sharpness in eu-central on coral-dev/ }));
    expect(history.location.search).toBe("?region=eu-central&hardware_profile=coral-dev&feature=sharpness");
    await user.keyboard("{ArrowDown}");
    expect(screen.getByRole("gridcell", { name: /^sharpness in eu-central on jetson-orin-nano/ })).toHaveFocus();
  });

  it("acknowledges, silences and resolves", async () => {
    const { user, server } = renderApp("/alerts");
    await title("1 alert open, 1 critical");
    await user.click(await screen.findByRole("button", { name: "Acknowledge" }));
    expect(await screen.findByText(/by R\. Okafor/)).toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Silence…" }));
    await user.click(await screen.findByRole("menuitem", { name: "for 8 hours" }));
    expect(await screen.findByText(/Silenced/)).toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Resolve…" }));
    await user.click(await screen.findByRole("button", { name: "Resolve alert" }));
    await title("No alert is open");
    expect(server.world.alerts[0]?.state).toBe("resolved");
  });
});

describe("what may not be, and what fails", () => {
  it("keeps a viewer's actions visible and says which role is missing", async () => {
    const { user } = renderApp(`/rollouts/${IDS.running}`, (world) => (world.role = "viewer"));
    const pause = await screen.findByRole("button", { name: "Pause…" });
    expect(pause).toHaveAttribute("aria-disabled", "true");
    await user.click(pause);
    expect(screen.queryByRole("dialog")).not.toBeInTheDocument();
  });

  it("says when a right is missing", async () => {
    renderApp("/settings?section=tokens", (world) => (world.role = "operator"));
    expect(await screen.findByText("You may not see this.")).toBeInTheDocument();
  });

  it("shows code and request id of an error and tries again when asked", async () => {
    const { user, server } = renderApp("/jobs?state=fail-500");
    expect(await screen.findByText("The list of jobs could not be loaded.")).toBeInTheDocument();
    expect(screen.getByText(/common\.internal · request req-mock-0001/)).toBeInTheDocument();
    const before = server.requests.length;
    await user.click(screen.getByRole("button", { name: "Retry" }));
    expect(server.requests.length).toBeGreaterThan(before);
  });

  it("does not tell another's device from one that does not exist", async () => {
    renderApp(`/devices/${mockId(10, 999)}`);
    expect(await screen.findByText("This device does not exist.")).toBeInTheDocument();
  });

  it("keeps the frame at an address that does not exist", async () => {
    renderApp("/nowhere");
    await title("No such page");
    expect(screen.getByRole("navigation", { name: "Main" })).toBeInTheDocument();
  });
});

describe("the keyboard", () => {
  it("goes to screens, moves along rows and shows its keys", async () => {
    const { user, history } = renderApp("/");
    await title("2 things need attention");
    await user.keyboard("gd");
    await title("63 devices, 4 offline");
    await screen.findByRole("link", { name: "cam-osl-0001" });
    await user.keyboard("jj");
    expect(screen.getByRole("link", { name: "cam-ber-0002" })).toHaveFocus();
    await user.keyboard("{Enter}");
    await title("cam-ber-0002");
    await user.keyboard("]");
    await title("cam-ham-0003");
    await user.keyboard("?");
    expect(await screen.findByRole("dialog", { name: "Keys" })).toBeInTheDocument();
    await user.keyboard("{Escape}");
    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
    expect(history.location.pathname).toBe(`/devices/${mockId(10, 3)}`);
  });

  it("leaves letters in fields alone", async () => {
    const { user, history } = renderApp("/devices");
    await title("63 devices, 4 offline");
    await user.keyboard("/");
    await user.keyboard("gm");
    expect(screen.getByRole("textbox", { name: /Selector/ })).toHaveValue("gm");
    expect(history.location.pathname).toBe("/devices");
  });
});

describe("the tour", () => {
  it("is there in the demo only, tells the story and makes it happen again", async () => {
    const { user, server } = renderApp("/jobs", (world) => (world.isDemo = true));
    const tour = await screen.findByRole("complementary", { name: "Tour" });
    expect(await within(tour).findByRole("link", { name: "1.2 halted: see why" })).toHaveAttribute("href", `/rollouts/${IDS.rolledBack}`);
    expect(within(tour).getByRole("button", { name: "Drift a region" })).toHaveAttribute("aria-disabled", "true");
    await user.click(within(tour).getByRole("button", { name: "Ship a bad model again" }));
    await waitFor(() => expect(server.requests).toContain("POST /api/v1/tour/actions/bad-model/"));
    await user.click(within(tour).getByRole("button", { name: "Fold the tour" }));
    expect(screen.queryByRole("complementary", { name: "Tour" })).not.toBeInTheDocument();
  });
});
