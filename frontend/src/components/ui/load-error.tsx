import styles from "@/components/ui/message.module.css";
import { ApiError } from "@/lib/api/client";

interface LoadErrorProps {
  /** What could not be loaded: `The list`. */
  what: string;
  error: Error;
  onRetry?: () => void;
}

/** What failed, the code and request id to copy, and Retry; a missing right is said as such. */
export function LoadError({ what, error, onRetry }: LoadErrorProps) {
  const known = error instanceof ApiError ? error : null;
  if (known?.status === 403) {
    return (
      <div className={styles.message} role="alert">
        <b>You may not see this.</b>
        <p className={styles.text}>{known.message} An administrator of the organization can grant it.</p>
        <code className="mono t3">{known.code}</code>
      </div>
    );
  }
  if (known?.status === 404) {
    return (
      <div className={styles.message} role="alert">
        <b>{what} does not exist.</b>
        <p className={styles.text}>It was removed, or it belongs to another organization.</p>
      </div>
    );
  }
  return (
    <div className={styles.message} role="alert">
      <b>{what} could not be loaded.</b>
      <p className={styles.text}>{error.message}</p>
      <div className={styles.foot}>
        {onRetry !== undefined && (
          <button type="button" className="link" onClick={onRetry}>
            Retry
          </button>
        )}
        <code className="mono t3">
          {known?.code ?? "client.fault"}
          {known !== null && known.requestId !== "" && ` · request ${known.requestId}`}
        </code>
      </div>
    </div>
  );
}
