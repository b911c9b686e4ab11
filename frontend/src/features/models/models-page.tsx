import { useInfiniteQuery } from "@tanstack/react-query";

import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { LinkButton } from "@/components/ui/button";
import { type Column, DataTable, More } from "@/components/ui/data-table";
import { Empty } from "@/components/ui/empty";
import { Icon } from "@/components/ui/icon";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { Section } from "@/components/ui/section";
import { VersionStatus } from "@/components/version-status";
import { useRole } from "@/hooks/use-session";
import { createDenial } from "@/lib/api/capabilities";
import { modelsQuery, versionsQuery } from "@/lib/api/queries/models";
import { rowsOf } from "@/lib/api/queries/paged";
import type { Model, ModelVersion } from "@/lib/api/types";
import { formatCount, formatRatio, plural, THIN_SPACE } from "@/lib/format/number";
import { formatBytes } from "@/lib/format/bytes";
import { paths } from "@/lib/path-builder";

const COLUMNS: readonly Column<ModelVersion>[] = [
  {
    key: "version",
    head: "Version",
    cell: (version) => (
      <AppLink to={paths.version(version.id)} data-row>
        {version.model.name} {version.version}
      </AppLink>
    ),
  },
  { key: "state", head: "State", cell: (version) => <VersionStatus state={version.state} approval={version.approval} by={version.approved_by?.name} /> },
  { key: "accuracy", head: "Accuracy", cell: (version) => (version.evaluation?.accuracy == null ? <span className="t3">–</span> : formatRatio(version.evaluation.accuracy, 1)), isNumber: true },
  { key: "latency", head: "p95 here", cell: (version) => (version.evaluation?.latency_ms_p95 == null ? <span className="t3">–</span> : `${version.evaluation.latency_ms_p95.toFixed(2)}${THIN_SPACE}ms`), isNumber: true, priority: "medium" },
  { key: "size", head: "Size", cell: (version) => <span className="t2">{formatBytes(version.variants[0]?.size_bytes ?? version.details.size_bytes)}</span>, isNumber: true, priority: "medium" },
  { key: "variants", head: "Variants", cell: (version) => <span className="t2">{version.variants.length}</span>, isNumber: true, priority: "wide" },
  { key: "created", head: "Published", cell: (version) => <span className="t2"><Age at={version.created_at} /></span>, isNumber: true },
];

function ModelSection({ model }: { model: Model }) {
  const list = useInfiniteQuery(versionsQuery({ model: model.name }));
  const versions = rowsOf(list.data);
  return (
    <Section
      title={model.name}
      meta={model.description}
      end={
        <>
          <span className="row" style={{ gap: 5 }}>
            <Icon name="proven" size={14} /> {formatCount(model.device_count.proven)} proven
          </span>
          <span className="row" style={{ gap: 5 }}>
            <Icon name="claimed" size={14} /> {formatCount(model.device_count.claimed)} claimed
          </span>
          <AppLink className="link" to={paths.publish({ model: model.name })}>
            Publish version
          </AppLink>
        </>
      }
    >
      <Loaded query={list} what={`The versions of ${model.name}`} rows={3}>
        {() =>
          versions.length === 0 ? (
            <Empty title="No version yet.">
              <AppLink className="link" to={paths.publish({ model: model.name })}>
                Publish the first one
              </AppLink>
              : an ONNX file and, better, an evaluation set.
            </Empty>
          ) : (
            <>
              <DataTable label={`Versions of ${model.name}`} columns={COLUMNS} rows={versions} rowKey={(version) => version.id} />
              <More shown={versions.length} query={list} />
            </>
          )
        }
      </Loaded>
    </Section>
  );
}

export function ModelsPage() {
  const role = useRole();
  const list = useInfiniteQuery(modelsQuery);
  const models = rowsOf(list.data);
  const versions = models.reduce((sum, model) => sum + model.version_count, 0);
  const title = list.data === undefined ? "Models" : `${plural(models.length, "model")}, ${plural(versions, "version")}`;
  return (
    <>
      <PageHead
        title={title}
        actions={
          <LinkButton to={paths.publish()} look="primary" icon="upload" denial={createDenial("version", role)}>
            Publish version
          </LinkButton>
        }
      />
      <Loaded query={list} what="The list of models" rows={8}>
        {() => (
          <div className="stack" style={{ gap: 20 }}>
            {models.length === 0 && (
              <Empty title="No models yet.">
                <AppLink className="link" to={paths.publish()}>
                  Publish the first version
                </AppLink>
                : choose an ONNX file, name its model, and it is inspected and run before anybody may roll it out.
              </Empty>
            )}
            {models.map((model) => (
              <ModelSection key={model.id} model={model} />
            ))}
            <More shown={models.length} query={list} />
          </div>
        )}
      </Loaded>
    </>
  );
}
