import { Autocomplete, Select, Textarea, TextInput } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";

import { Button } from "@/components/ui/button";
import { PageHead } from "@/components/ui/page";
import { Section } from "@/components/ui/section";
import { FileUpload, type Upload } from "@/features/models/file-upload";
import styles from "@/features/models/models.module.css";
import { useSearchState } from "@/hooks/use-search-state";
import { useRole } from "@/hooks/use-session";
import { api, ApiError } from "@/lib/api/client";
import { createDenial } from "@/lib/api/capabilities";
import { keys } from "@/lib/api/keys";
import { evaluationSetsQuery, modelsQuery, versionsQuery } from "@/lib/api/queries/models";
import { rowsOf } from "@/lib/api/queries/paged";
import type { EvaluationSet, Model, ModelVersion } from "@/lib/api/types";
import { plural } from "@/lib/format/number";
import { paths } from "@/lib/path-builder";

const MODEL_NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

const STILL_SENDING = "Publish again when the file is sent.";

interface Form {
  model: string;
  version: string;
  description: string;
  upload: Upload;
  evaluationSet: string | null;
  evaluationUpload: Upload;
  parent: string | null;
  code: string;
  data: string;
  run: string;
}

const idOf = (upload: Upload) => (upload === null || upload === "sending" ? null : upload.id);

/** Creates what is new (model, evaluation set), then the version; answers the version. */
async function publish(form: Form, known: Model | undefined): Promise<ModelVersion> {
  const model = known ?? (await api.post<Model>("models/", { name: form.model, description: "" }));
  let evaluationSet = form.evaluationSet;
  const examples = idOf(form.evaluationUpload);
  if (examples !== null) {
    const made = await api.post<EvaluationSet>(`models/${model.id}/evaluation-sets/`, { name: `with ${form.version}`, upload: examples });
    evaluationSet = made.id;
  }
  const lineage = Object.fromEntries(Object.entries({ code: form.code, data: form.data, run: form.run }).filter(([, value]) => value !== ""));
  return api.post<ModelVersion>("versions/", { model: form.model, version: form.version, description: form.description, upload: idOf(form.upload), evaluation_set: evaluationSet, parent: form.parent, lineage });
}

function problemsOf(form: Form): Partial<Record<keyof Form, string>> {
  return {
    ...(MODEL_NAME.test(form.model) ? {} : { model: "Enter a name of small letters, digits and dashes, such as shelf-gap." }),
    ...(form.version.trim() === "" ? { version: "Enter a version, such as 1.2.0." } : {}),
    ...(form.upload === null ? { upload: "Choose the model's file." } : form.upload === "sending" ? { upload: STILL_SENDING } : {}),
    ...(form.evaluationUpload === "sending" ? { evaluationUpload: STILL_SENDING } : {}),
  };
}

export function PublishPage() {
  const [search] = useSearchState();
  const router = useRouter();
  const client = useQueryClient();
  const role = useRole();
  const [form, setForm] = useState<Form>({ model: search["model"] ?? "", version: "", description: "", upload: null, evaluationSet: null, evaluationUpload: null, parent: null, code: "", data: "", run: "" });
  const [hasTried, setHasTried] = useState(false);
  const change = (part: Partial<Form>) => setForm((old) => ({ ...old, ...part }));
  const models = rowsOf(useInfiniteQuery(modelsQuery).data);
  const known = models.find((model) => model.name === form.model);
  const sets = useQuery({ ...evaluationSetsQuery(known?.id ?? ""), enabled: known !== undefined });
  const versions = rowsOf(useInfiniteQuery({ ...versionsQuery({ model: form.model }), enabled: known !== undefined }).data);
  const send = useMutation({
    mutationFn: () => publish(form, known),
    onSuccess: async (version) => {
      await Promise.all([client.invalidateQueries({ queryKey: keys.models }), client.invalidateQueries({ queryKey: keys.versions.all })]);
      router.history.push(paths.version(version.id));
    },
  });
  const denial = createDenial("version", role);
  const local = hasTried ? problemsOf(form) : {};
  const remote = send.error instanceof ApiError ? send.error.fields : {};
  const submit = (event: SyntheticEvent<HTMLFormElement>) => {
    event.preventDefault();
    setHasTried(true);
    if (Object.keys(problemsOf(form)).length === 0) send.mutate();
    else event.currentTarget.querySelector<HTMLElement>(form.model === "" ? "input" : "input[aria-invalid], button")?.focus();
  };
  return (
    <>
      <PageHead title="Publish version" crumbs={[{ text: "Models", to: paths.models() }]} context="The file is inspected, run in a sandbox and measured before anybody may roll it out." />
      <form onSubmit={submit} noValidate className={`stack ${styles.form ?? ""}`}>
        <Section title="Version">
          <div className="stack">
            <div className="cols" style={{ gridTemplateColumns: "1fr 1fr", columnGap: 14 }}>
              <Autocomplete label="Model" description={known === undefined && form.model !== "" ? "a new model" : "an existing one, or a new name"} data={models.map((model) => model.name)} value={form.model} onChange={(model) => change({ model, evaluationSet: null, parent: null })} error={local.model ?? remote["model"] ?? remote["name"]} />
              <TextInput label="Version" description={known?.latest_version == null ? "such as 1.0.0" : `newest is ${known.latest_version.version}`} value={form.version} onChange={(event) => change({ version: event.currentTarget.value })} error={local.version ?? remote["version"]} />
            </div>
            <FileUpload label="Model file" accept=".onnx" help="ONNX" error={local.upload ?? remote["upload"]} onChange={(upload) => change({ upload })} />
            <Textarea label="What changed (optional)" autosize minRows={2} value={form.description} onChange={(event) => change({ description: event.currentTarget.value })} error={remote["description"]} />
          </div>
        </Section>
        <Section title="Evaluation" meta="labelled inputs it is measured on">
          <div className="stack">
            <Select
              label="Evaluation set"
              description={known === undefined ? "a new model has none yet: send one below" : "without one nothing says how well it answers"}
              placeholder={sets.data?.length === 0 ? "none" : "the newest"}
              clearable
              disabled={form.evaluationUpload !== null}
              data={(sets.data ?? []).map((set) => ({ value: set.id, label: `${set.name}, ${plural(set.row_count, "row")}` }))}
              value={form.evaluationSet}
              onChange={(evaluationSet) => change({ evaluationSet })}
              error={remote["evaluation_set"]}
            />
            <FileUpload label="Or a new evaluation set" accept=".npz" help="NPZ with x and y" error={local.evaluationUpload} onChange={(evaluationUpload) => change({ evaluationUpload })} />
          </div>
        </Section>
        <Section title="Lineage" meta="where it comes from">
          <div className="cols" style={{ gridTemplateColumns: "1fr 1fr", columnGap: 14 }}>
            <Select label="Parent (optional)" placeholder="none" clearable searchable data={versions.map((version) => ({ value: version.id, label: `${version.model.name} ${version.version}` }))} value={form.parent} onChange={(parent) => change({ parent })} error={remote["parent"]} />
            <TextInput label="Code (optional)" description="repository and commit" value={form.code} onChange={(event) => change({ code: event.currentTarget.value })} />
            <TextInput label="Data (optional)" description="data set and its version" value={form.data} onChange={(event) => change({ data: event.currentTarget.value })} />
            <TextInput label="Run (optional)" description="training run" value={form.run} onChange={(event) => change({ run: event.currentTarget.value })} />
          </div>
        </Section>
        {send.error !== null && (
          <p className="crit" role="alert">
            {send.error.message} {send.error instanceof ApiError && <code className="mono t3">{send.error.code}</code>}
          </p>
        )}
        <div className="row">
          <Button type="submit" look="primary" isBusy={send.isPending} denial={denial}>
            Publish version
          </Button>
        </div>
      </form>
    </>
  );
}
