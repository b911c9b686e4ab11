/** What people do with the dashboard: sign in, watch, find. */
import { act, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { keys } from "@/lib/api/keys";
import { renderApp } from "@/testing/render-app";
import { mockId } from "@/testing/mock-api/random";
import { IDS } from "@/testing/mock-api/makers";

const title = (name: string | RegExp) => screen.findByRole("heading", { level: 1, name });

describe("signing in", () => {
  it("asks for name and password at any address and then shows that address", async () => {
    const { user } = renderApp("/jobs", (world) => (world.isSignedIn = false));
    await user.click(await screen.findByRole("button", { name: "Sign in" }));
    expect(screen.getByText("Enter your user name.")).toBeInTheDocument();
    await user.type(screen.getByLabelText("User name"), "okafor");
    await user.type(screen.getByLabelText("Password"), "wrong{Enter}");
    expect(await screen.findByRole("alert")).toHaveTextContent("do not match");
    await user.clear(screen.getByLabelText("Password"));
    await user.type(screen.getByLabelText("Password"), "correct horse{Enter}");
    await title("1 job running");
  });

  it("returns to the form when the session ends, and after signing out", async () => {
    const { user, client } = renderApp("/jobs");
    await title("1 job running");
    await user.click(screen.getByRole("button", { name: /theme and sign-out/ }));
    await user.click(await screen.findByRole("menuitem", { name: "Sign out" }));
    expect(await screen.findByRole("form", { name: "Sign in" })).toBeInTheDocument();
    expect(client.getQueryData(keys.overview)).toBeUndefined();
  });
});

describe("watching the fleet", () => {
  it("says first what needs a person, and links it to its evidence", async () => {
    const { user } = renderApp("/");
    await title("2 things need attention");
    await user.click(screen.getByRole("link", { name: /digits 1.2.0 halted/ }));
    await title("digits 1.1.0 → 1.2.0");
    expect((await screen.findAllByRole("status")).some((line) => line.textContent.includes("Halted, rolling back: disagreement."))).toBe(true);
    expect(screen.getByRole("row", { name: /Disagreement.*Harm/ })).toHaveAttribute("aria-selected", "true");
  });

  it("says that all is well when it is, and what to do with an empty fleet", async () => {
    renderApp("/", (world) => {
      world.alerts = [];
      world.rollouts = [];
      world.devices = [];
    });
    await title("Nothing needs attention");
    expect(screen.getByText("No devices yet.")).toBeInTheDocument();
    expect(screen.getByText("No rollout is in flight.")).toBeInTheDocument();
  });

  it("shows what changes without a reload", async () => {
    const { server } = renderApp("/devices");
    const row = await screen.findByRole("row", { name: /cam-osl-0001/ });
    expect(row).toHaveTextContent("Online");
    act(() => server.emit({ topic: "devices", kind: "device.changed", id: mockId(10, 1), data: { is_online: false, last_seen_at: new Date().toISOString() } }));
    await waitFor(() => expect(row).toHaveTextContent("Offline"));
  });

  it("watches a rollout pass, wave by wave", async () => {
    const { server } = renderApp(`/rollouts/${IDS.running}`);
    await title("shelf-gap 2.3.1 → 2.4.0");
    expect(await screen.findByText("Wave 3 holds for more evidence.")).toBeInTheDocument();
    const rollout = server.world.rollouts.find((entry) => entry.id === IDS.running);
    Object.assign(rollout ?? {}, { is_holding: false });
    act(() => server.emit({ topic: `rollout:${IDS.running}`, kind: "rollout.changed", id: IDS.running, data: { state: "running", is_holding: false, counts: { ...rollout?.counts, proven: 30, planned: 21 } } }));
    expect(await screen.findByText("Wave 3 of 5 runs.")).toBeInTheDocument();
    act(() => server.emit({ topic: `rollout:${IDS.running}`, kind: "rollout.event", id: "e1", data: { id: "e1", at: new Date().toISOString(), kind: "wave.passed", text: "Wave 3 passed all gates", data: {} } }));
    expect(await screen.findByText("Wave 3 passed all gates")).toBeInTheDocument();
  });

  it("reads again what it shows after the connection was lost", async () => {
    const { server } = renderApp("/jobs");
    await title("1 job running");
    await screen.findByText("Live");
    const job = server.world.jobs.find((entry) => entry.state === "running");
    Object.assign(job ?? {}, { state: "done", progress_ratio: 1 });
    act(() => server.dropSockets());
    await title("1 job failed");
  });
});

describe("finding a device", () => {
  it("keeps the selection in the address, and counts it", async () => {
    const { user, history } = renderApp("/devices");
    await title("63 devices, 4 offline");
    await user.click(within(await screen.findByRole("group", { name: "Region" })).getByRole("button", { name: /eu-north/ }));
    await title("18 devices in this selection");
    expect(history.location.search).toBe("?region=eu-north");
    const line = screen.getByRole("textbox", { name: /Selector/ });
    expect(line).toHaveValue("region = eu-north");
    await user.clear(line);
    await user.type(line, "site = Newark DC and is_online = false{Enter}");
    await title("3 devices in this selection");
    act(() => history.back());
    await title("18 devices in this selection");
  });

  it("says which term to remove when nothing matches", async () => {
    const { user } = renderApp("/devices?region=eu-north&search=nothing");
    expect(await screen.findByText("No device matches.")).toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Remove" }));
    await title("18 devices in this selection");
  });

  it("makes a token and shows the line to paste, once", async () => {
    const { user } = renderApp("/devices");
    await user.click(await screen.findByRole("button", { name: "Enrol device" }));
    const dialog = await screen.findByRole("dialog");
    await user.type(within(dialog).getByLabelText("Labels (optional)"), "aisle");
    await user.click(within(dialog).getByRole("button", { name: "Make token" }));
    expect(within(dialog).getByText(/Enter labels as key=value/)).toBeInTheDocument();
    await user.type(within(dialog).getByLabelText("Labels (optional)"), "=12");
    await user.click(within(dialog).getByRole("button", { name: "Make token" }));
    expect(await screen.findByLabelText("Line to paste")).toHaveTextContent("flotilla-agent run --server http://127.0.0.1:8000 --tenant halden --token fle_NEWXtoken");
  });

  it("answers why a device is not updated, and quarantines it with a reason", async () => {
    const { user, server } = renderApp(`/devices/${mockId(10, 63)}`);
    expect(await screen.findByRole("heading", { name: "Why is this device not on 2.4.0?" })).toBeInTheDocument();
    expect(screen.getByText("Its wave is not released")).toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Quarantine…" }));
    await user.click(await screen.findByRole("button", { name: "Quarantine device" }));
    expect(screen.getByText(/Enter why/)).toBeInTheDocument();
    await user.type(screen.getByLabelText("Reason"), "lens is broken");
    await user.click(screen.getByRole("button", { name: "Quarantine device" }));
    await waitFor(() => expect(server.world.devices[62]?.state).toBe("quarantined"));
    expect((await screen.findAllByText("Quarantined")).length).toBeGreaterThan(0);
  });
});
