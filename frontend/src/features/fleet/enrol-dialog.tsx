import { Autocomplete, Modal, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { CopyLine } from "@/components/ui/copy-line";
import { useFocusReturn } from "@/hooks/use-focus-return";
import { useNow } from "@/hooks/use-now";
import { api, ApiError } from "@/lib/api/client";
import { keys } from "@/lib/api/keys";
import { regionsQuery, sitesQuery } from "@/lib/api/queries/fleet";
import type { EnrolmentTokenCreated } from "@/lib/api/types";
import { formatMoment } from "@/lib/format/time";

const LIFETIMES = [
  { value: "3600", label: "1 hour" },
  { value: "86400", label: "1 day" },
  { value: "604800", label: "7 days" },
  { value: "2592000", label: "30 days" },
];

/** Reads `aisle=12, lens=wide`; null when it cannot be read. */
export function readLabels(text: string): Record<string, string> | null {
  const labels: Record<string, string> = {};
  for (const part of text.split(",").map((piece) => piece.trim())) {
    if (part === "") continue;
    const [key = "", value, ...more] = part.split("=").map((piece) => piece.trim());
    if (key === "" || value === undefined || value === "" || more.length > 0) return null;
    labels[key] = value;
  }
  return labels;
}

/** Makes an enrolment token and shows, once, the line to paste. */
export function EnrolDialog({ onClose }: { onClose: () => void }) {
  useFocusReturn();
  const client = useQueryClient();
  const now = useNow();
  const sites = useQuery(sitesQuery);
  const regions = useQuery(regionsQuery);
  const [name, setName] = useState("");
  const [site, setSite] = useState("");
  const [region, setRegion] = useState("");
  const [labels, setLabels] = useState("");
  const [lifetime, setLifetime] = useState("86400");
  const [labelProblem, setLabelProblem] = useState<string | null>(null);
  const create = useMutation({
    mutationFn: (body: object) => api.post<EnrolmentTokenCreated>("enrolment-tokens/", body),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.enrolmentTokens }),
  });
  const knownSite = sites.data?.find((entry) => entry.name === site);
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    const read = readLabels(labels);
    setLabelProblem(read === null ? "Enter labels as key=value, parted by commas." : null);
    if (read === null) return;
    create.mutate({ name, site: site.trim() || null, region: (knownSite?.region.name ?? region.trim()) || null, labels: read, expires_in_s: Number(lifetime) });
  };
  const fields = create.error instanceof ApiError ? create.error.fields : {};
  const made = create.data;
  return (
    <Modal opened onClose={onClose} title={made === undefined ? "Enrol device" : "Paste this line on the device"} size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      {made !== undefined ? (
        <div className="stack">
          <p className="t2">The token lets one device in, once, until {formatMoment(made.expires_at, now)} UTC. It is shown only now.</p>
          <CopyLine label="Line to paste" text={made.command} />
          <p className="t3 s12">The device makes its own key, sends a signing request with the token, and appears in the list within seconds.</p>
          <div className="row" style={{ justifyContent: "flex-end" }}>
            <Button
              onClick={() => {
                create.reset();
                setName("");
              }}
            >
              Make another
            </Button>
            <Button look="primary" onClick={onClose}>
              Done
            </Button>
          </div>
        </div>
      ) : (
        <form className="stack" onSubmit={submit}>
          <TextInput label="Name of the token (optional)" description="for whom or what it is, for example the installer's name" data-autofocus value={name} onChange={(event) => setName(event.currentTarget.value)} error={fields["name"]} />
          <div className="cols" style={{ gridTemplateColumns: "1fr 1fr", columnGap: 14 }}>
            <Autocomplete label="Site (optional)" description="where the device will stand; a new name makes a new site" data={sites.data?.map((entry) => entry.name) ?? []} value={site} onChange={setSite} error={fields["site"]} />
            <Autocomplete
              label="Region"
              description={knownSite === undefined ? "of a new site" : "of this site"}
              data={regions.data?.map((entry) => entry.name) ?? []}
              value={knownSite?.region.name ?? region}
              onChange={setRegion}
              disabled={knownSite !== undefined}
              error={fields["region"]}
            />
            <TextInput label="Labels (optional)" description="aisle=12, lens=wide" value={labels} onChange={(event) => setLabels(event.currentTarget.value)} error={labelProblem ?? fields["labels"]} />
            <Select label="Valid for" data={LIFETIMES} value={lifetime} onChange={(value) => setLifetime(value ?? "86400")} allowDeselect={false} error={fields["expires_in_s"]} />
          </div>
          {create.error !== null && (
            <p className="crit" role="alert">
              {create.error.message}
            </p>
          )}
          <div className="row" style={{ justifyContent: "flex-end" }}>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" look="primary" isBusy={create.isPending}>
              Make token
            </Button>
          </div>
        </form>
      )}
    </Modal>
  );
}
