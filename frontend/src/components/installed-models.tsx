import { Icon } from "@/components/ui/icon";
import type { InstalledModel } from "@/lib/api/types";

/** What runs on a device, each with the mark of how well that is known. */
export function InstalledModels({ installed }: { installed: readonly InstalledModel[] }) {
  if (installed.length === 0) return <span className="t3">none proven</span>;
  return (
    <span className="row" style={{ gap: "2px 10px", flexWrap: "wrap" }}>
      {installed.toSorted((a, b) => a.model.localeCompare(b.model)).map((model) => (
        <span key={model.model} className="row nowrap" style={{ gap: 5 }}>
          <Icon name={model.evidence === "claimed" ? "claimed" : "proven"} size={14} label={model.evidence === "claimed" ? "claimed" : `proven, ${model.evidence}`} />
          {model.model} {model.version}
        </span>
      ))}
    </span>
  );
}
